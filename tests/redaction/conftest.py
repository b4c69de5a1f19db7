"""A protected app in process; what is logged while a test runs is searched."""

import pytest

from dpop_asgi import log_decisions
from tests.redaction.transcript import Search, everything_logged
from tests.support.api import WatchedApi


@pytest.fixture
def search():
    with everything_logged() as transcript:
        yield Search(transcript)


@pytest.fixture
def make_api(issuer, client, clock, search):
    observed = {"observer": log_decisions}
    return lambda **options: search.watch(WatchedApi(issuer, client, clock, **observed | options))
