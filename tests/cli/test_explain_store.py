"""What `dpop-asgi explain` finds in the store of a server."""

import asyncio
import json

import pytest

from dpop_asgi import Authenticator, JWTVerifier, RedisStore, Revocations
from dpop_asgi.testing import Client
from tests.cli.pasted import curl_v
from tests.cli.situations import URL
from tests.support.decisions import incoming


async def _served(server, client, issuer, clock):
    """A request that a server with this store accepted, as it was sent."""
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    store = RedisStore(server.url, timeout=10.0)
    authenticator = Authenticator(verify_token=verifier, store=store, clock=clock)
    token, nonce = issuer.access_token(client), await authenticator.challenge_nonce()
    proof = client.proof("GET", URL, token, nonce=nonce)
    accepted = client.headers("GET", URL, token, nonce=nonce)
    await authenticator.authenticate(incoming(accepted, target_uri=URL))
    await store.aclose()
    return token, proof, accepted["DPoP"]


def _stored(redis):
    """Without the key by which a server sees who is the master; it lives for an instant."""
    return {key: redis.get(key) for key in redis.scan_iter() if ":look:" not in key}


@pytest.mark.parametrize(
    ("passed", "failed"),
    [
        pytest.param(0, {"unused": [], "used": ["proof_replayed"]}, id="now"),
        pytest.param(90, {"unused": [], "used": ["proof_replayed"]}, id="in-the-next-slot"),
        pytest.param(130, {"unused": ["nonce_unknown"], "used": ["nonce_unknown", "proof_replayed"]}, id="too-late"),
    ],
)
def test_the_store_shows_the_age_of_the_nonce_and_whether_a_proof_was_used(
    redis_server, situation, explained, client, issuer, clock, tmp_path, caplog, passed, failed
):
    clock.now = 1_700_000_000 // 60 * 60 + 10
    token, unused, used = asyncio.run(_served(redis_server, client, issuer, clock))
    with redis_server.client() as redis:
        before = _stored(redis)
        caplog.clear()
        clock.advance(passed)
        for name, proof in (("unused", unused), ("used", used)):
            options = situation.options(tmp_path, proof=proof, token=token, method="GET", store=redis_server.url)
            report = json.loads(explained(options)[1])
            assert report["failed"] == failed[name]
            assert report["accepted"] is (not failed[name])
            nonce = next(check for check in report["checks"] if check["reason"] == "nonce_missing")
            assert passed > 120 or nonce["facts"]["age"] == 10 + passed
            assert caplog.records == [], "what workers log isn't for people who look"
        assert _stored(redis) == before


NONCES = {"nonce_unknown", "nonce_expired"}


@pytest.mark.parametrize(
    ("forgotten", "later", "unknown", "line"),
    [
        pytest.param(":nonce:", 0, NONCES, "the store has no nonces of that time", id="no-nonces"),
        pytest.param(":28333333:", 0, NONCES, "the store has no nonces of that time", id="not-the-nonce-of-that-slot"),
        pytest.param(":28333332:", 0, set(), "good for another", id="no-nonce-of-the-slot-before"),
        pytest.param(":jti:", 309, set(), "not used yet", id="no-record-though-it-would-be-there"),
        pytest.param(":jti:", 311, {"proof_replayed"}, "the store no longer knows", id="no-record-any-longer"),
    ],
)
def test_what_the_store_has_forgotten_is_not_known(
    redis_server, situation, explained, client, issuer, clock, tmp_path, forgotten, later, unknown, line
):
    """A request of a while ago is judged at the `Date` of its response, but the store is read now."""
    token, unused, used = asyncio.run(_served(redis_server, client, issuer, clock))
    with redis_server.client() as redis:
        redis.delete(*(key for key in _stored(redis) if forgotten in key))
    proof = used if forgotten == ":jti:" else unused
    usual = {"proof": proof, "token": token, "method": "GET", "store": redis_server.url}
    report = json.loads(explained(situation.options(tmp_path, **usual), later)[1])
    assert report["failed"] == []
    assert {check["reason"] for check in report["checks"] if check["outcome"] == "unknown"} == unknown
    assert line in " ".join(explained(situation.options(tmp_path, **usual, as_json=False), later)[1].split())


async def _revoked(server, thumbprint, clock):
    """A server with this store goes on with new nonces, and refuses this key."""
    store = RedisStore(server.url, timeout=10.0)
    operator = Revocations(store, clock=clock)
    await operator.revoke_nonces()
    await operator.revoke_key(thumbprint)
    await store.aclose()


def test_the_store_tells_that_a_key_is_revoked_and_which_nonces_are_still_valid(
    redis_server, situation, explained, client, issuer, clock, tmp_path
):
    _, _, old = asyncio.run(_served(redis_server, client, issuer, clock))
    asyncio.run(_revoked(redis_server, Client().thumbprint, clock))
    token, unused, _ = asyncio.run(_served(redis_server, client, issuer, clock))
    usual = {"token": token, "method": "GET", "store": redis_server.url}
    assert json.loads(explained(situation.options(tmp_path, proof=unused, **usual))[1])["failed"] == []
    report = json.loads(explained(situation.options(tmp_path, proof=old, **usual))[1])
    assert "nonce_unknown" in report["failed"]
    asyncio.run(_revoked(redis_server, client.thumbprint, clock))
    assert "key_revoked" in json.loads(explained(situation.options(tmp_path, proof=unused, **usual))[1])["failed"]


def test_a_request_that_was_accepted_has_not_been_replayed(
    redis_server, situation, explained, client, issuer, clock, tmp_path
):
    token, _, used = asyncio.run(_served(redis_server, client, issuer, clock))
    situation.token, situation.proof = token, used
    options = situation.options(tmp_path, proof=curl_v(situation), store=redis_server.url, as_json=False)
    code, printed = explained(options)
    assert (code, "used by this very request" in printed) == (0, True)
