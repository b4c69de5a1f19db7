"""Fixtures for pytest.

The `conftest.py` at the root of the tests names them:

pytest_plugins = ["dpop_asgi.testing.pytest"]

A fixture of the same name there replaces one of these, for another issuer or another time, say.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from dpop_asgi.testing.clock import ManualClock
from dpop_asgi.testing.issuer import Issuer
from dpop_asgi.testing.offline_api import OfflineAPI
from dpop_asgi.testing.signing_client import AsyncSigningClient, SigningClient
from dpop_asgi.testing.without_proofs import session_begins, session_ends


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest: from here on, and as long as it runs, a test may do without proofs."""
    session_begins(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Called by pytest."""
    session_ends(config)


@pytest.fixture
def dpop_clock() -> ManualClock:
    """The clock of issuer, clients and API."""
    return ManualClock()


@pytest.fixture
def dpop_issuer(dpop_clock: ManualClock) -> Issuer:
    """The issuer whose tokens the API accepts."""
    return Issuer("https://id.example.com", audience="https://api.example.com", clock=dpop_clock)


@pytest.fixture
def dpop_api(dpop_issuer: Issuer, dpop_clock: ManualClock) -> Iterator[Callable[..., OfflineAPI]]:
    """`dpop_api(app)`: the app without network and Redis, as `OfflineAPI`, until the end of the test."""
    with ExitStack() as stack:
        known: dict[int, OfflineAPI] = {}

        def offline(app: Callable[..., object], **options: object) -> OfflineAPI:
            if id(app) not in known:
                api = OfflineAPI(app, **{"issuer": dpop_issuer, "clock": dpop_clock, **options})  # type: ignore[arg-type]  # theirs
                known[id(app)] = stack.enter_context(api)
            return known[id(app)]

        yield offline


@pytest.fixture
def dpop_client(dpop_api: Callable[..., OfflineAPI]) -> Callable[..., SigningClient]:
    """`dpop_client(app, "orders:read")`: a `TestClient` that signs its requests; options as for `OfflineAPI.client`."""
    return lambda app, *args, **options: dpop_api(app).client(*args, **options)


@pytest.fixture
def dpop_async_client(dpop_api: Callable[..., OfflineAPI]) -> Callable[..., AsyncSigningClient]:
    """`dpop_async_client(app, "orders:read")`: the same as an `httpx2.AsyncClient`."""
    return lambda app, *args, **options: dpop_api(app).async_client(*args, **options)


@pytest.fixture
def dpop_without_proofs(dpop_api: Callable[..., OfflineAPI]) -> Callable[..., TestClient]:
    """`dpop_without_proofs(app, make_caller("bob"))`: a `TestClient` whose requests come from this caller."""
    return lambda app, caller, **options: dpop_api(app).without_proofs(caller, **options)
