"""A protected app in process."""

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason, StoreError
from tests.support.api import Api, App


@pytest.fixture
def make_api(issuer, client, clock):
    """`make_api(app, **options)`: the options are those of the middleware and of the authenticator."""

    def make_api(inner=None, **options):
        return Api(inner or App(), issuer, client, clock, **options)

    return make_api


@pytest.fixture
def api(make_api):
    return make_api()


class _Away:
    """A store that does not answer."""

    async def put_if_absent(self, key, value, *, ttl):
        raise StoreError("away")

    async def aclose(self):
        pass


@pytest.fixture
def away():
    return _Away()


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
