"""A verifier that remembers is spared the call; one that asks more than what it inherits is always asked."""

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason
from dpop_asgi.core.encoding import sha256_b64url
from tests.support.decisions import Resource


class Remembering:
    def __init__(self, token):
        self.token, self.known, self.calls = token, {}, 0

    async def __call__(self, token):
        self.calls += 1
        self.known[sha256_b64url(token)] = self.token
        return self.token

    def cached_token(self, token_hash):
        return self.known.get(token_hash)


class AskingMore(Remembering):
    revoked = False

    async def __call__(self, token):
        if self.revoked:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return await super().__call__(token)


class AskingAndRemembering(AskingMore):
    def cached_token(self, token_hash):
        return None if self.revoked else super().cached_token(token_hash)


class Asynchronous(Remembering):
    async def cached_token(self, token_hash):
        return super().cached_token(token_hash)


class Forgetful(Remembering):
    cached_token = None


@pytest.fixture
def token(client):
    return AccessToken(subject="alice", key_thumbprint=client.thumbprint)


@pytest.mark.parametrize("kind", [Remembering, AskingAndRemembering])
async def test_a_token_that_is_remembered_is_not_verified_again(clock, client, token, kind):
    verify = kind(token)
    resource = Resource(clock, client, verify_token=verify)
    for _ in range(3):
        assert (await resource.accept()).subject == "alice"
    assert verify.calls == 1


@pytest.mark.parametrize("kind", [AskingMore, AskingAndRemembering])
async def test_what_a_verifier_asks_besides_is_asked_each_time(clock, client, token, kind):
    verify = kind(token)
    resource = Resource(clock, client, verify_token=verify)
    await resource.accept()
    verify.revoked = True
    assert await resource.reason() is Reason.TOKEN_REJECTED


async def test_a_memory_that_is_switched_off_is_not_asked(clock, client, token):
    verify = Forgetful(token)
    resource = Resource(clock, client, verify_token=verify)
    for _ in range(3):
        await resource.accept()
    assert verify.calls == 3


def test_a_memory_that_would_have_to_be_awaited_is_rejected(clock, client, token):
    with pytest.raises(ValueError, match=r"^verify_token: .*cached_token"):
        Resource(clock, client, verify_token=Asynchronous(token))
