"""Nothing that could be used stands in a log, an answer or an exception: everything is refused once, and searched.

All loggers are at their lowest level, those of the libraries below too.
"""

import logging
import secrets

import pytest

from dpop_asgi import NoncePolicy
from dpop_asgi.testing import Client
from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.hostile_requests import AUTHORIZATIONS, TARGETS
from tests.conformance.hostile_tokens import TOKENS
from tests.conformance.peer import Peer
from tests.support.api import PUBLIC_URL, http_scope
from tests.support.decisions import Resource
from tests.support.faults import FAULTS, Draft

JTI = "the-jti-of-a-proof-that-leaks"
NONCE = "the-nonce-of-a-proof-that-leaks"


class Sender(Peer):
    """A `Peer` of an app in process: makes the same requests, and sends none."""

    def __init__(self, api, nonce):
        self.client, self.issuer, self.token, self.nonce = api.client, api.issuer, api.token, nonce
        self.method, self.path, self.origin = "GET", "/r", PUBLIC_URL


def scope_of(fields, **changes):
    return http_scope(headers=[("host", "rs.example"), *fields], **changes)


def rows(sender):
    """Every request of the hostile tables: its name, and its scope."""
    good, _ = sender.fields()
    for name, make in {**SHAPES, **HEADERS, **CLAIMS}.items():
        yield name, scope_of([good, ("dpop", make(sender))])
    for value in AUTHORIZATIONS:
        yield value[:20], scope_of([("authorization", value.replace("TOKEN", sender.token)), sender.fields()[1]])
    for name, changes in TOKENS.items():
        yield name, scope_of(sender.fields(token=sender.issuer.access_token(sender.client, **changes)))
    for where in TARGETS:
        yield repr(where[:20]), scope_of(sender.fields(), raw_path=where)
    for name, fields in _more(sender, Client(clock=sender.client._clock)):
        yield name, scope_of(fields)
    yield from _elsewhere(sender)


def _more(sender, thief):
    """What no table has."""
    good, proof = sender.fields()
    yield "no token", [proof]
    yield "no proof", [good]
    yield "two proofs", [good, proof, sender.fields()[1]]
    yield "joined proofs", [good, ("dpop", f"{proof[1]},{sender.fields()[1][1]}")]
    yield "two tokens", [good, good, proof]
    yield "as bearer", [("authorization", f"Bearer {sender.token}"), proof]
    yield "no nonce", sender.fields(nonce=None)
    yield "unknown nonce", sender.fields(nonce=secrets.token_urlsafe(16))
    yield "long jti", sender.fields(claims={"jti": secrets.token_urlsafe(3000)})
    yield "stolen", thief.headers("GET", sender.url, sender.token, nonce=sender.nonce).items()
    yield "accepted", sender.fields()


def _elsewhere(sender):
    """Beside the credentials: lines of the log have the path of a request."""
    for path in (f"/r?access_token={sender.token}", f"/r?#{sender.token}"):
        yield "token in the query", scope_of(sender.fields(nonce=None), raw_path=path.encode())


async def test_no_rejection_of_any_table_leaks(make_api, search, clock):
    for options in ({}, {"mode": "mixed", "nonces": None}, {"present_as": "bearer"}):
        api = make_api(**options)
        sender = Sender(api, await api.authenticator.challenge_nonce())
        for name, scope in rows(sender):
            if (await search.ask(name, api.app, scope)).status == 200:
                await search.ask(f"{name}, again", api.app, scope)
    clock.advance(120.0)
    await search.ask("old nonce", api.app, scope_of(sender.fields()))
    assert search.whole() == {}
    assert search.requests > 600
    assert len(search.transcript.texts) > 4 * search.requests
    assert "dpop_asgi" in search.transcript.loggers


async def test_no_fault_of_the_decision_leaks(make_api, clock, client, search):
    """`Draft`s, before an app that takes any URI for its own."""
    for fault in FAULTS:
        resource = Resource(clock, client, nonces=NoncePolicy())
        api = make_api()
        api.authenticator = resource.authenticator
        search.watch(api)
        api.wrap(api.inner, target_uri=lambda scope: scope["state"]["uri"])
        draft = Draft()
        fault.add(draft)
        request = await draft.of(resource)
        scope = http_scope(request.method, state={"uri": request.target_uri})
        answer = await search.ask(fault.name, api.app, {**scope, "headers": list(request.headers)})
        assert answer.status in {400, 401}
    assert search.whole() == {}
    assert search.reasons >= {fault.reason for fault in FAULTS}


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda proof: logging.getLogger("joserfc").debug("bad proof %s", proof), id="whole"),
        pytest.param(lambda proof: logging.getLogger("redis").debug("...%s...", proof[40:60]), id="fragment"),
        pytest.param(lambda proof: logging.getLogger("x").debug("x", extra={"proof": proof.split(".")[1]}), id="extra"),
        pytest.param(lambda _: logging.getLogger("httpx2").debug("jti %.8s", JTI), id="first-letters-of-the-jti"),
        pytest.param(lambda _: logging.getLogger("asyncio").debug("nonce=%r", NONCE), id="nonce"),
        pytest.param(lambda proof: _fail_with(proof[100:130]), id="exception"),
    ],
)
async def test_a_leak_is_found(make_api, search, plant):
    def leaky(decision):
        plant(proof)

    api = make_api(observer=leaky)
    fields = await api.fields(claims={"jti": JTI}, nonce=NONCE)
    proof = fields["DPoP"]
    await search.ask("planted", api.app, scope_of(fields.items()))
    assert search.whole()["planted"]


def _fail_with(text):
    raise ValueError(text)


async def test_a_leak_that_comes_late_is_found(make_api, search):
    api = make_api()
    fields = await api.fields()
    await search.ask("late", api.app, scope_of(fields.items()))
    assert search.whole() == {}
    logging.getLogger("z").debug(fields["DPoP"].rpartition(".")[2])
    assert list(search.whole().values()) == ["afterwards"]
