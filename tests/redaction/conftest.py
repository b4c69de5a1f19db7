"""A protected app in process; what is logged while a test runs is searched."""

import pytest

from tests.support.transcript import Search, everything_logged
from tests.support.watched import WatchedApi


@pytest.fixture
def search():
    with everything_logged() as transcript:
        yield Search(transcript)


@pytest.fixture
def make_api(issuer, client, clock, search):
    return lambda **options: search.watch(WatchedApi(issuer, client, clock, **options))
