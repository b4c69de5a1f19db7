"""A verifier of one's own is held to its promise: it is async, and what it returns is a token that is still good."""

import logging
from collections.abc import Awaitable
from functools import lru_cache, partial, wraps
from unittest.mock import AsyncMock, Mock

import pytest

from dpop_asgi import AccessToken, Authenticator, InvalidToken, IssuerUnavailable, JWTVerifier, MemoryStore, Reason
from dpop_asgi.core.encoding import sha256_b64url
from tests.support.decisions import CountingStore, Resource
from tests.support.processes import AUDIENCE
from tests.support.proofs import TOKEN

UNBOUND = AccessToken(subject="alice")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def verify(token):
    return UNBOUND


def plain(token):
    return UNBOUND


async def generator(token):
    yield UNBOUND


class Plain:
    def __call__(self, _):
        """Never called."""

    def method(self, _: str) -> AccessToken:
        """Never called."""


class Async:
    async def __call__(self, _):
        return UNBOUND

    async def method(self, _, __=None):
        return UNBOUND


class Forwarding:
    def __call__(self, *arguments, **options):
        return verify(*arguments, **options)


def later(token) -> Awaitable[AccessToken]:
    return verify(token)


@wraps(verify)
def wrapped(token):
    return verify(token)


@pytest.mark.parametrize(
    ("wrong", "wanted"),
    [
        pytest.param(plain, "async", id="function"),
        pytest.param(generator, "async", id="async-generator"),
        pytest.param(Plain(), "async", id="object"),
        pytest.param(Plain().method, "async", id="method"),
        pytest.param(partial(plain), "async", id="partial"),
        pytest.param(partial(Plain(), extra=1), "async", id="partial-of-an-object"),
        pytest.param(Async, "an object, and not its class", id="class"),
    ],
)
def test_a_verifier_that_can_be_seen_to_be_none_is_rejected_when_the_authenticator_is_made(wrong, wanted):
    """Y07"""
    with pytest.raises(ValueError, match=f"^verify_token: must be {wanted}"):
        Authenticator(verify_token=wrong, store=MemoryStore())


@pytest.mark.parametrize(
    "right",
    [
        pytest.param(verify, id="function"),
        pytest.param(Async(), id="object"),
        pytest.param(Async().method, id="method"),
        pytest.param(partial(Async().method, __=1), id="partial"),
        pytest.param(lambda token, check=verify: check(token), id="lambda"),
        pytest.param(later, id="annotated"),
        pytest.param(wrapped, id="decorated"),
        pytest.param(lru_cache(verify), id="built-in"),
        pytest.param(Forwarding(), id="forwarding"),
        pytest.param(AsyncMock(return_value=UNBOUND), id="AsyncMock"),
        pytest.param(Mock(side_effect=verify), id="Mock"),
    ],
)
async def test_whatever_may_return_a_coroutine_is_a_verifier(clock, client, right):
    """Y07"""
    assert (await Resource(clock, client, verify_token=right, mode="mixed").accept(BEARER)).subject == "alice"


async def _returning(value):
    return value


@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        pytest.param(lambda _: _returning({"sub": "alice"}), "returned a dict", id="claims"),
        pytest.param(_returning, "returned a str", id="the-token"),
        pytest.param(lambda token: token, "is not async", id="not-async-and-the-token"),
    ],
)
async def test_a_verifier_that_returns_no_token_lets_nobody_in_and_is_reported_once(
    clock, client, caplog, wrong, fault, scheme
):
    """Y07"""
    decisions = []
    resource = Resource(clock, client, verify_token=wrong, mode="mixed", observer=decisions.append)
    for _ in range(3):
        with pytest.raises(IssuerUnavailable, match=f"^verify_token {fault}: ") as unavailable:
            await resource.accept(BEARER if scheme == "Bearer" else None)
        assert TOKEN not in str(unavailable.value)
    assert [(decision.outcome, decision.unavailable) for decision in decisions] == [("unavailable", "issuer")] * 3
    [record] = caplog.records
    assert (record.levelno, TOKEN in record.getMessage()) == (logging.ERROR, False)
    assert resource.store.calls == []


# One that remembers


class Remembering:
    """Remembers every token, and counts how often it was called."""

    def __init__(self, token):
        self.token, self.known, self.calls = token, {}, 0

    async def __call__(self, token):
        self.calls += 1
        self.known[sha256_b64url(token)] = self.token
        return self.token

    def cached_token(self, token_hash):
        return self.known.get(token_hash)


class AskingMore(Remembering):
    """Asks besides, each time, and remembers nothing of its own."""

    revoked = False

    async def __call__(self, token):
        if self.revoked:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return await super().__call__(token)


class AskingAndRemembering(AskingMore):
    def cached_token(self, token_hash):
        return None if self.revoked else super().cached_token(token_hash)


class Forgetful(Remembering):
    cached_token = None


class Asynchronous(Remembering):
    async def cached_token(self, token_hash):
        return super().cached_token(token_hash)


@pytest.mark.parametrize(("kind", "calls"), [(Remembering, 1), (AskingAndRemembering, 1), (Forgetful, 3)])
async def test_a_token_that_is_remembered_is_not_verified_again(clock, client, kind, calls):
    verify = kind(AccessToken(subject="alice", key_thumbprint=client.thumbprint))
    resource = Resource(clock, client, verify_token=verify)
    for _ in range(3):
        assert (await resource.accept()).subject == "alice"
    assert verify.calls == calls


@pytest.mark.requirement("R-FAPI-02")
@pytest.mark.parametrize("kind", [AskingMore, AskingAndRemembering])
async def test_what_a_verifier_asks_besides_is_asked_each_time(clock, client, kind):
    verify = kind(AccessToken(key_thumbprint=client.thumbprint))
    resource = Resource(clock, client, verify_token=verify)
    await resource.accept()
    verify.revoked = True
    assert await resource.reason() is Reason.TOKEN_REJECTED


def test_a_memory_that_would_have_to_be_awaited_is_rejected(clock, client):
    with pytest.raises(ValueError, match=r"^verify_token: .*cached_token"):
        Resource(clock, client, verify_token=Asynchronous(UNBOUND))


async def test_a_memory_that_gives_no_token_lets_nobody_in(clock, client):
    """Y07"""
    verify = Remembering(UNBOUND)
    verify.known[sha256_b64url(TOKEN)] = {"sub": "alice"}
    with pytest.raises(IssuerUnavailable, match="returned a dict"):
        await Resource(clock, client, verify_token=verify).accept()


# The times of its token


@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
@pytest.mark.parametrize(
    ("leeway", "past", "passes"),
    [
        pytest.param({}, 4.999, True, id="within-five-seconds"),
        pytest.param({}, 5.0, False, id="five-seconds"),
        pytest.param({"leeway": 0.0}, -0.001, True, id="without-leeway-before"),
        pytest.param({"leeway": 0.0}, 0.0, False, id="without-leeway"),
        pytest.param({}, float("nan"), False, id="a-time-that-is-none"),
    ],
)
async def test_an_expired_token_is_rejected_whoever_verified_it(clock, client, scheme, leeway, past, passes):
    """Z14"""
    key_thumbprint = client.thumbprint if scheme == "DPoP" else None

    async def look_up(_):
        return AccessToken(key_thumbprint=key_thumbprint, expires_at=clock.now - past, **leeway)

    resource = Resource(clock, client, verify_token=look_up, mode="mixed")
    headers = BEARER if scheme == "Bearer" else None
    if passes:
        assert (await resource.accept(headers)).token_expires_at == clock.now - past
    else:
        assert await resource.reason(headers) is Reason.TOKEN_EXPIRED
        assert resource.store.calls == []


@pytest.mark.parametrize("leeway", [0.0, 5.0, 120.0])
async def test_the_leeway_of_a_jwt_verifier_counts(clock, client, issuer, leeway):
    """Z14"""
    verifier = JWTVerifier(issuer=issuer.url, audience=AUDIENCE, jwks=issuer.jwks, clock=clock, leeway=leeway)
    resource = Resource(clock, client, verify_token=verifier)
    token = issuer.access_token(client, claims={"exp": int(clock.now) + 10})
    clock.advance(10.0 + leeway - 0.01)
    assert await resource.accept(resource.headers(token))
    clock.advance(0.01)
    assert await resource.reason(resource.headers(token)) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("slow", ["issuer", "store", "memory"])
async def test_a_token_that_expires_while_somebody_is_asked_is_rejected(clock, client, slow):
    """Z14"""
    token = AccessToken(key_thumbprint=client.thumbprint, expires_at=clock.now + 1)

    class SlowStore(CountingStore):
        async def put_if_absent(self, key, value, *, ttl):
            clock.advance(10.0 if slow == "store" else 0.0)
            return await super().put_if_absent(key, value, ttl=ttl)

    class Slow:
        async def __call__(self, _):
            clock.advance(10.0 if slow == "issuer" else 0.0)
            return token

        def cached_token(self, _):
            clock.advance(10.0 if slow == "memory" else 0.0)
            return token if slow == "memory" else None

    resource = Resource(clock, client, verify_token=Slow(), store=SlowStore(clock))
    assert await resource.reason() is Reason.TOKEN_EXPIRED
    assert len(resource.store.proofs) == (1 if slow == "store" else 0)
