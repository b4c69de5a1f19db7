"""A protected app in process."""

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason
from tests.support.api import Api, App
from tests.support.decisions import CountingStore


@pytest.fixture
def make_api(issuer, client, clock):
    """`make_api(app, **options)`: the options are those of the middleware and of the authenticator."""

    def make_api(inner=None, **options):
        return Api(inner or App(), issuer, client, clock, **options)

    return make_api


@pytest.fixture
def api(make_api):
    return make_api()


@pytest.fixture
def away(clock):
    """A store that does not answer."""
    return CountingStore(clock, down=True)


@pytest.fixture
def revocable(client):
    """A verifier of opaque tokens, and a function that revokes them all."""
    good = AccessToken(subject="alice", key_thumbprint=client.thumbprint)
    revoked = []

    async def verify(_):
        if revoked:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return good

    return verify, lambda: revoked.append(True)
