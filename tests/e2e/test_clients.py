"""OAuth clients as they are published, against rotating nonces: how many challenges each of them sees."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import jwskate
import pytest
import requests
from requests_oauth2client import DPoPKey, DPoPToken

from dpop_asgi.testing import Client
from tests.e2e.rotation import GRACE, SHORTEST_LIFE, challenges_on, undue_challenges
from tests.support.busy import patient
from tests.support.load import HANGS_AFTER
from tests.support.processes import RedisServer, ResourceServer, patient_with

# The challenged one and twenty more, over more than two lives of a nonce; the pause is in slots.
REQUESTS, PAUSE = 21, 0.25

READERS = [
    ("oauth4webapi", "ES256"),
    ("oauth4webapi", "PS256"),
    ("oauth4webapi", "Ed25519"),
    ("oauth4webapi", "EdDSA"),
    ("openid-client", "ES256"),
    ("atproto", "ES256"),
    ("dpop", "ES256"),
]
LEARNER = ("requests_oauth2client", "ES256")


@pytest.fixture(scope="module")
def period():
    return patient(1.0)


class _Wire(requests.adapters.HTTPAdapter):
    """Notes what goes over the wire, below the retry."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def send(self, request, **options):
        asked_at = time.time()
        response = super().send(request, **options)
        entry = {
            "asked_at": asked_at,
            "answered_at": time.time(),
            "status": response.status_code,
            "challenge": response.headers.get("www-authenticate"),
            "nonce": jwskate.SignedJwt(request.headers["DPoP"]).claims.get("nonce"),
        }
        self.seen.append(entry)
        return response


def _run_requests(client, url, token, pause):
    """It learns from challenges alone, and retries once by itself."""
    auth = DPoPToken(access_token=token, _dpop_key=DPoPKey(private_key=client.key.private_jwk, alg="ES256"))
    answers = []
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", wire := _Wire())
        for number in range(REQUESTS):
            body = None if number % 2 else {"number": number}
            answer = session.request("GET" if number % 2 else "POST", url, json=body, auth=auth, timeout=HANGS_AFTER)
            answers.append({"status": answer.status_code, **answer.json()})
            time.sleep(pause)
    return {"answers": answers, "wire": wire.seen}


@pytest.fixture(scope="module")
def sessions(redis_binary, issuer_server, run_program, period):
    """All clients at the same time: for each, its thumbprint and the future of what it saw."""
    with RedisServer(redis_binary) as redis, ThreadPoolExecutor(len(READERS) + 1) as pool:
        settings = {**patient_with(redis.url), "nonce_period": period, "nonce_grace": GRACE}
        with ResourceServer(issuer_server.issuer, workers=2, **settings) as server:
            started = {}
            for name, alg in [*READERS, LEARNER]:
                client = Client(alg)
                url, pause = f"{server.url}/resource", PAUSE * period
                token = issuer_server.issuer.access_token(client)
                job = {"url": url, "token": token, "alg": alg, "requests": REQUESTS, "pause": pause}
                if (name, alg) == LEARNER:
                    run = partial(_run_requests, client, url, token, pause)
                else:
                    run = partial(run_program, name, jwk=client.key.private_jwk, **job)
                started[name, alg] = client.thumbprint, pool.submit(run)
            yield started


def _assert_all_accepted(seen, thumbprint):
    assert [(answer["status"], answer["jkt"]) for answer in seen["answers"]] == [(200, thumbprint)] * REQUESTS
    nonces_used = {entry["nonce"] for entry in seen["wire"] if entry["status"] == 200}
    assert len(nonces_used) >= 3
    assert len(seen["wire"]) == REQUESTS + len(challenges_on(seen["wire"]))


@pytest.mark.requirement("R-8-06", "R-9-02", "R-9-05", "R-9864-01", "H-01")
@pytest.mark.parametrize("which", [pytest.param(which, id=" ".join(which)) for which in READERS])
def test_a_client_that_reads_every_answer_is_challenged_once(sessions, which, period):
    thumbprint, future = sessions[which]
    seen = future.result()
    _assert_all_accepted(seen, thumbprint)
    assert challenges_on(seen["wire"])[:1] == seen["wire"][:1]
    assert undue_challenges(seen["wire"], period) == []


@pytest.mark.requirement("R-8-05", "R-9-02", "R-9-04", "R-9-05")
def test_a_client_that_learns_from_challenges_alone_is_challenged_once_per_window(sessions, period):
    thumbprint, future = sessions[LEARNER]
    seen = future.result()
    _assert_all_accepted(seen, thumbprint)
    for earlier, later in pairwise(challenges_on(seen["wire"])):
        assert later["answered_at"] - earlier["asked_at"] >= SHORTEST_LIFE * period
