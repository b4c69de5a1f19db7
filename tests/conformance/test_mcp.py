"""The server checks of the MCP conformance scenario `auth/dpop-server-validation` (SEP-1932).

As there: the probes are JSON-RPC posts to a loopback address; the tokens have neither `jti` nor `client_id` nor `kid`;
the newest nonce of any answer goes into every proof; "refuse" is 401 with a DPoP challenge that is not about the nonce;
and nothing counts unless a correct request was accepted before. The server is examples/mcp_server.py.
"""

import json
import re
import time
from email.utils import parsedate_to_datetime

import pytest

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.testing import Client
from tests.conformance.hostile_makers import SharedSecret
from tests.conformance.judge import ALGORITHMS, challenges, errors
from tests.conformance.peer import Peer
from tests.conformance.rows import row
from tests.support.processes import NO_ROTATION, MCPServer

DPOP_CHALLENGE = re.compile(r"(?:^|,)\s*dpop(?:\s|$|,)", re.IGNORECASE)
PROBE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}}).encode()


class Probe(Peer):
    """The suite's own client."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.method, self.path = "POST", "/mcp"
        self.host = f"localhost:{self.server.port}"
        self.origin = f"http://{self.host}"
        self.token = self.mint()

    def mint(self, **claims):
        return self.issuer.access_token(self.client, without=["kid", "jti", "client_id", "scope"], claims=claims)

    def learn(self, answer):
        self.nonce = answer.one("DPoP-Nonce") or self.nonce

    def send(self, fields, **request):
        json_fields = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
        return super().send([*json_fields, *fields], **{"body": PROBE, **request})

    def ready(self):
        first = self.send(self.fields())
        if first.status == 401 and "use_dpop_nonce" in first.one("WWW-Authenticate"):
            first = self.send(self.fields())
        assert 200 <= first.status < 300, "the baseline is refused: no other check would mean anything"
        self.clock_offset = parsedate_to_datetime(first.one("Date")).timestamp() - int(time.time())
        return self

    def with_proof(self, *proofs, scheme="DPoP"):
        return [("Authorization", f"{scheme} {self.token}"), *(("DPoP", proof) for proof in proofs)]

    def at(self, seconds):
        return {"iat": int(time.time()) + int(self.clock_offset) + seconds}


def tampered(probe):
    head, _, signature = probe.proof().rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def unsigned(probe):
    header = b64url_encode(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": probe.client.key.public_jwk}).encode())
    return f"{header}.{probe.proof().split('.')[1]}."


def symmetric(probe):
    return probe.proof(header={"alg": "HS256"}, signed_by=SharedSecret(b"a random secret"))


@pytest.fixture(params=[("httptools", NO_ROTATION), ("h11", 0)], ids=["nonces", "no-nonces"])
def probe(request, make_peer):
    return make_peer(*request.param, kind=Probe, example=MCPServer)


@pytest.fixture
def ready(probe):
    return probe.ready()


@pytest.mark.requirement("R-9068-06")
def test_accepts_valid_proof(probe):
    assert probe.ready().send(probe.fields()).status == 200


PROOF, TOKEN, EITHER = {"invalid_dpop_proof"}, {"invalid_token"}, {"invalid_dpop_proof", "invalid_token"}
# By the scenario's checks: what is sent, and with which error it may be refused.
CHECKS = {
    "sep-1932-server-validate-proof": {
        "RejectsTamperedSignature": (lambda p: p.with_proof(tampered(p)), PROOF),
        "RejectsMissingJti": (lambda p: p.fields(without=["jti"]), PROOF),
        "RejectsMissingHtm": (lambda p: p.fields(without=["htm"]), PROOF),
        "RejectsMissingHtu": (lambda p: p.fields(without=["htu"]), PROOF),
        "RejectsMissingIat": (lambda p: p.fields(without=["iat"]), PROOF),
        "RejectsMissingJwk": (lambda p: p.fields(without=["jwk"]), PROOF),
        "RejectsWrongTyp": (lambda p: p.fields(header={"typ": "jwt"}), PROOF),
        "RejectsHtuMismatch": (lambda p: p.fields(uri="https://wrong.example.com/mcp"), PROOF),
        "RejectsHtmMismatch": (lambda p: p.fields("GET"), PROOF),
        "RejectsPrivateKeyInJwk": (lambda p: p.fields(header={"jwk": p.client.key.private_jwk}), PROOF),
        "RejectsWrongAth": (lambda p: p.fields(claims={"ath": "not-the-right-hash"}), PROOF),
        "RejectsAthAbsent": (lambda p: p.fields(without=["ath"]), PROOF),
        "RejectsBearerScheme": (lambda p: p.with_proof(p.proof(), scheme="Bearer"), EITHER),
        "RejectsDuplicateDpopHeader": (lambda p: p.with_proof(p.proof(), p.proof()), PROOF),
        "RejectsMalformedProof": (lambda p: p.with_proof("this-is-not-a-jwt"), PROOF),
        "RejectsCnfJktMismatch": (lambda p: p.fields(token=p.mint(cnf={"jkt": Client().thumbprint})), EITHER),
    },
    "sep-1932-server-iat-window": {
        "RejectsStaleIat": (lambda p: p.fields(claims=p.at(-303)), PROOF),
        "RejectsFutureIat": (lambda p: p.fields(claims=p.at(303)), PROOF),
    },
    "sep-1932-asymmetric-alg-only": {
        "RejectsAlgNone": (lambda p: p.with_proof(unsigned(p)), PROOF),
        "RejectsAlgSymmetric": (lambda p: p.with_proof(symmetric(p)), PROOF),
    },
    "sep-1932-server-audience-validation": {
        "RejectsWrongAudience": (
            lambda p: p.fields(token=p.mint(aud="https://not-this-server.example.com/mcp")),
            TOKEN,
        ),
    },
    "sep-1932-server-reject-401": {"RejectsWith401Challenge": (lambda p: p.with_proof(tampered(p)), PROOF)},
}


@pytest.mark.requirement("R-MCP-02", "R-MCP-03", "R-7.1-08", "R-7.1-12")
@pytest.mark.parametrize(
    ("make", "errors_"),
    [row(*sent, name=f"{check} {name}") for check, rows in CHECKS.items() for name, sent in rows.items()],
)
def test_a_defect_is_rejected_with_its_own_error(ready, make, errors_):
    answer = ready.send(make(ready))
    line = answer.one("WWW-Authenticate")
    assert answer.status == 401
    assert DPOP_CHALLENGE.search(line)
    assert "use_dpop_nonce" not in line
    assert errors(answer)[0] in errors_


@pytest.mark.requirement("R-9-02", "R-8-01")
def test_nonce_flow(ready):
    first = ready.send(ready.fields(nonce=None))
    if not ready.nonces:
        assert first.status == 200, "not asked for a nonce, so the check is skipped"
        return
    assert errors(first)[0] == "use_dpop_nonce"
    assert 200 <= ready.send(ready.fields(nonce=first.one("DPoP-Nonce"))).status < 300
    wrong = ready.send(ready.fields(nonce="definitely-not-the-server-nonce"))
    assert wrong.status == 401
    assert DPOP_CHALLENGE.search(wrong.one("WWW-Authenticate"))


@pytest.mark.requirement("R-7.1-09")
def test_advertises_dpop(probe):
    answer = probe.send([])
    assert answer.status == 401
    assert challenges(answer)[0].parameters["algs"] == ALGORITHMS
    assert errors(answer) == [None]


@pytest.mark.requirement("R-FAPI-05", "R-7.2-08")
def test_an_unbound_bearer_token_is_rejected_where_dpop_is_required(ready):
    unbound = ready.issuer.access_token(without=["kid", "jti", "client_id"])
    assert ready.send([("Authorization", f"Bearer {unbound}")]).status == 401


@pytest.mark.requirement("R-MCP-10")
def test_every_request_is_authorised_again(ready):
    assert ready.send(ready.fields()).status == 200
    assert errors(ready.send([]))[0] is None
