"""A protected app in process that tells why it refused, over a store that counts."""

import pytest

from tests.support.api import WatchedApi


@pytest.fixture
def make_api(issuer, client, clock, store):
    return lambda **options: WatchedApi(issuer, client, clock, **{"store": store, **options})


@pytest.fixture
def api(make_api):
    return make_api()
