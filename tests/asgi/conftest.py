"""A protected app in process."""

import pytest

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
