"""The server checks of the MCP conformance scenario `auth/dpop-server-validation` (SEP-1932).

As there: the probes are JSON-RPC posts to a loopback address; the tokens have neither `jti` nor `client_id` nor `kid`;
the newest nonce of any answer goes into every proof; "refuse" is 401 with a DPoP challenge that is not about the nonce;
and nothing counts unless a correct request was accepted before. The server is examples/mcp_server.py.
"""

import json
import time

import pytest

from dpop_asgi.testing import Client
from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.judge import assert_answer
from tests.conformance.peer import Peer
from tests.conformance.rows import row
from tests.support.processes import NO_ROTATION, MCPServer

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

    def with_proof(self, *proofs, scheme="DPoP"):
        return [("Authorization", f"{scheme} {self.token}"), *(("DPoP", proof) for proof in proofs)]

    def made(self, seconds):
        return self.fields(claims={"iat": int(time.time()) + seconds})


@pytest.fixture(params=[("httptools", NO_ROTATION), ("h11", 0)], ids=["nonces", "no-nonces"])
def peer(request, make_peer):
    return make_peer(*request.param, kind=Probe, example=MCPServer)


def hostile(name):
    """With a proof of the hostile tables."""
    return lambda probe: probe.with_proof((SHAPES | HEADERS | CLAIMS)[name](probe))


# By the scenario's checks: what is sent, and with which of the errors that it allows we refuse.
CHECKS = {
    "RejectsTamperedSignature": (hostile("signature first bit flipped"), "IDP"),
    "RejectsMissingJti": (hostile("jti missing"), "IDP"),
    "RejectsMissingHtm": (hostile("htm missing"), "IDP"),
    "RejectsMissingHtu": (hostile("htu missing"), "IDP"),
    "RejectsMissingIat": (hostile("iat missing"), "IDP"),
    "RejectsMissingJwk": (hostile("jwk missing"), "IDP"),
    "RejectsWrongTyp": (hostile("typ 'JWT'"), "IDP"),
    "RejectsHtuMismatch": (lambda p: p.fields(uri="https://wrong.example.com/mcp"), "IDP"),
    "RejectsHtmMismatch": (lambda p: p.fields("GET"), "IDP"),
    "RejectsPrivateKeyInJwk": (hostile("jwk whole"), "IDP"),
    "RejectsWrongAth": (hostile("ath 'not-the-right-hash'"), "IDP"),
    "RejectsAthAbsent": (lambda p: p.fields(without=["ath"]), "IDP"),
    "RejectsBearerScheme": (lambda p: p.with_proof(p.proof(), scheme="Bearer"), "ITK"),
    "RejectsDuplicateDpopHeader": (lambda p: p.with_proof(p.proof(), p.proof()), "IDP"),
    "RejectsMalformedProof": (hostile("letters"), "IDP"),
    "RejectsCnfJktMismatch": (lambda p: p.fields(token=p.mint(cnf={"jkt": Client().thumbprint})), "ITK"),
    "RejectsStaleIat": (lambda p: p.made(-303), "IDP"),
    "RejectsFutureIat": (lambda p: p.made(330), "IDP"),
    "RejectsAlgNone": (hostile("unsigned"), "IDP"),
    "RejectsAlgSymmetric": (hostile("signed as HS256"), "IDP"),
    "RejectsWrongAudience": (lambda p: p.fields(token=p.mint(aud="https://not-this-server.example.com/mcp")), "ITK"),
}


@pytest.mark.requirement("R-MCP-02", "R-MCP-03", "R-7.1-08", "R-7.1-12")
@pytest.mark.parametrize(("make", "code"), [row(*sent, name=name) for name, sent in CHECKS.items()])
def test_a_defect_is_rejected_with_its_own_error(ready, make, code):
    assert_answer(ready.send(make(ready)), code)


@pytest.mark.requirement("R-9-02", "R-8-01")
def test_nonce_flow(ready):
    first = ready.send(ready.fields(nonce=None))
    if not ready.nonces:
        assert_answer(first, "OK")
        return
    assert_answer(first, "UDN")
    assert_answer(ready.send(ready.fields(nonce=first.one("DPoP-Nonce"))), "OK")
    assert_answer(ready.send(ready.fields(nonce="definitely-not-the-server-nonce")), "UDN")
