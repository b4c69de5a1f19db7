"""A filter or a handler that raises costs the line, and nothing else: nobody waits, and nothing is half done."""

import asyncio
import logging

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier, NoncePolicy, Reason, Revocations, StoreError
from dpop_asgi.log import logger
from dpop_asgi.stores.redis.incarnation import Incarnations
from dpop_asgi.stores.redis.pipeline import Pipeline
from dpop_asgi.testing import Issuer
from tests.support.api import Api, App
from tests.support.decisions import CountingStore, Resource
from tests.support.fenced_store import FencedStore, RevocableStore
from tests.support.processes import free_port


class Raising(logging.Handler):
    """Both: added as a filter, and as a handler."""

    lines = 0

    def handle(self, record):
        self.lines += 1
        raise LookupError(f"{record.name} has no such member")

    filter = handle


@pytest.fixture(params=["filter", "handler"])
def raising(request):
    raising, target = Raising(), logging.getLogger("dpop_asgi")
    add, remove = getattr(target, f"add{request.param.title()}"), getattr(target, f"remove{request.param.title()}")
    add(raising)
    yield raising
    remove(raising)


async def _calls_of_an_unavailable_server(clock, client):
    async def exchange(commands):
        raise ConnectionRefusedError(111, "refused")

    pipeline = Pipeline("the store", exchange, where="here", timeout=1e6)
    for _ in range(2):
        calls = [pipeline.call(("SET", "key", "value")) for _ in range(300)]
        replies = await asyncio.gather(*calls, return_exceptions=True)
        assert {isinstance(reply, StoreError) for reply in replies} == {True}
    await pipeline.aclose()


async def _nonces_without_a_store(clock, client):
    store = CountingStore(clock, down=True)
    authenticator = Resource(clock, client, store=store, nonces=NoncePolicy()).authenticator
    for _ in range(2):
        with pytest.raises(StoreError):
            await authenticator.challenge_nonce()
    store.down = False
    clock.advance(1.0)
    assert await authenticator.challenge_nonce()


async def _proofs_that_cannot_be_recorded(clock, client):
    store = CountingStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy(), on_store_failure="accept")
    nonce = await resource.authenticator.challenge_nonce()
    for down in (True, True, False):
        store.down = down
        assert (await resource.accept(resource.headers(nonce=nonce))).replay_checked is not down


async def _a_store_that_is_replaced(clock, client):
    store = FencedStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    nonce = await resource.authenticator.challenge_nonce()
    store.become("two")
    refusal = await resource.refusal(resource.headers(nonce=nonce))
    assert refusal.reason is Reason.NONCE_SUPERSEDED
    assert await resource.accept(resource.headers(nonce=await resource.authenticator.challenge_nonce(refusal)))


async def _a_key_that_is_revoked(clock, client):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store)
    await resource.accept()
    await Revocations(store, clock=clock).revoke_key(client.thumbprint)
    clock.advance(1.0)
    for _ in range(2):
        assert await resource.reason() is Reason.KEY_REVOKED


async def _an_observer_that_fails(clock, client):
    def observer(decision):
        raise ValueError(decision)

    assert await Resource(clock, client, observer=observer).accept()


async def _a_fence_that_is_turned_off(clock, client):
    incarnations = Incarnations()
    incarnations.note(b"")
    assert incarnations.off


async def _keys_of_an_unavailable_issuer(clock, client):
    url = f"http://127.0.0.1:{free_port()}"
    verifier = JWTVerifier(issuer=url, audience="api", clock=clock)
    token = Issuer(url, audience="api", clock=clock).access_token()
    for _ in range(2):
        with pytest.raises(IssuerUnavailable):
            await verifier(token)
        clock.advance(5.0)
    await verifier.aclose()


async def _requests_that_are_rejected(clock, client):
    store = CountingStore(clock)
    api = Api(App(), Issuer("https://id.example.com", audience="api", clock=clock), client, clock, store=store)
    assert (await api.anonymous()).status == 401
    store.down = True
    clock.advance(3600.0)
    assert (await api.anonymous()).status == 503


SITUATIONS = [
    _calls_of_an_unavailable_server,
    _nonces_without_a_store,
    _proofs_that_cannot_be_recorded,
    _a_store_that_is_replaced,
    _a_key_that_is_revoked,
    _an_observer_that_fails,
    _a_fence_that_is_turned_off,
    _keys_of_an_unavailable_issuer,
    _requests_that_are_rejected,
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__.strip("_"))
async def test_what_is_not_logged_is_done_all_the_same(raising, caplog, clock, client, situation):
    caplog.set_level("DEBUG", "dpop_asgi")
    async with asyncio.timeout(60.0):
        await situation(clock, client)
    assert raising.lines


@pytest.mark.parametrize("told", [True, False])
def test_why_a_line_is_missing_is_on_stderr(raising, monkeypatch, capsys, told):
    """As the standard library does it for handlers."""
    monkeypatch.setattr(logging, "raiseExceptions", told)
    try:
        int("hunter2")
    except ValueError:
        logger.warning("a line")
    printed = capsys.readouterr()
    assert ("has no such member" in printed.err) is told
    assert "hunter2" not in printed.err + printed.out, "what was being handled may have a secret in it"


def test_a_record_names_the_function_that_logged_it(caplog):
    for log in (logger.warning, logger.error, logger.exception):
        log("a line", extra={"more": 1})
    assert {(record.funcName, record.more) for record in caplog.records} == {
        ("test_a_record_names_the_function_that_logged_it", 1)
    }
