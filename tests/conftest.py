"""Fixtures that every folder of tests uses."""

import gc
import os
import shutil
import signal
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.parts import LONG, mark, run_together
from tests.support.collection import COLLECTED, all_collected
from tests.support.decisions import CountingStore
from tests.support.processes import AUDIENCE, PACKAGE, ROOT, RedisServer
from tests.support.serving import IssuerServer
from tests.support.website import Website

# They are about the sources, which are not there when an installed package is tested (see tests/installed.py).
collect_ignore = [] if PACKAGE.parent == ROOT else ["test_architecture.py", "test_distribution.py"]
pytest_plugins = ["dpop_asgi.testing.pytest", "pytester"]

# The same examples in every run, however busy the machine is; `python3 -m tests --explore` tries others, and more.
_whatever_it_takes = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeat", derandomize=True, **_whatever_it_takes)
settings.register_profile("explore", max_examples=1000, print_blob=True, **_whatever_it_takes)
settings.load_profile("repeat")


def pytest_configure():
    """Told to end, as by Ctrl+C: servers and other children are ended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Until all is imported and collected: none of that is garbage.
    gc.disable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """The workers of pytest-xdist cannot see by themselves whether paths were given."""
    node.workerinput["all_collected"] = all_collected(node.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """By files, some of which are divided."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - it may be switched off

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return run_together(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session, items):
    """Remember all, before some are deselected; mark the part of each, and those that a seed is given to."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    session.stash[COLLECTED] = list(items)
    for item in items:
        mark(item)
        if "seed" in item.fixturenames:
            item.add_marker("explores")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """What was imported and collected stays until the end: looking through it for garbage takes a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture
def seed(request):
    """For what is chosen at random: the same in every run, unless one is given."""
    return int(request.config.getoption("--hypothesis-seed") or 9449)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything has been set up, a test that skips is a test that failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("ALL_TESTS_MUST_RUN"):
        report.outcome = "failed"
        report.longrepr = f"skipped although everything is set up: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def anyio_backend():
    # redis-py does not run under trio.
    return "asyncio"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(clock):
    return CountingStore(clock)


@pytest.fixture
def start_of_a_slot(clock):
    """The clock stands where a nonce of a minute begins."""
    clock.now = 1_700_000_040.0


@pytest.fixture
def breaker_clock(monkeypatch, clock):
    """The clock of circuit breakers, moved by hand; the event loop keeps its own."""
    for module in ("circuit_breaker", "outage_log"):
        monkeypatch.setattr(f"dpop_asgi.{module}.time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture(scope="session")
def _keys():
    """Keys are the slow part of a test: one issuer and two clients are made once."""
    return Issuer("https://id.example.com", audience=AUDIENCE), Client(), Client()


@pytest.fixture
def issuer(_keys, clock):
    issuer = Issuer(_keys[0].url, audience=AUDIENCE, clock=clock)
    issuer.keys, issuer.kid = dict(_keys[0].keys), _keys[0].kid
    return issuer


@pytest.fixture
def client(_keys, clock):
    return Client(clock=clock, key=_keys[1].key)


@pytest.fixture
def other_client(_keys, clock):
    return Client(clock=clock, key=_keys[2].key)


@pytest.fixture(scope="session")
def redis_binary():
    """A redis-server of 7.0 or newer, found by `python3 -m tests`."""
    binary = os.environ.get("REDIS_SERVER") or shutil.which(
        "redis-server", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin"
    )
    if binary is None:
        pytest.skip("no redis-server: run the tests by `python3 -m tests`, which installs one")
    return binary


@pytest.fixture(scope="session")
def _redis_server(redis_binary):
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture
def redis_server(_redis_server):
    """A running Redis, empty."""
    with _redis_server.client() as connection:
        connection.flushall()
    return _redis_server


@pytest.fixture(scope="session")
def issuer_server():
    """An issuer on a real socket, for tests that start servers as processes."""
    with IssuerServer() as server:
        yield server


@pytest.fixture(scope="session")
def own_issuer_server():
    """Another one, whose issuer may be renamed."""
    with IssuerServer() as server:
        yield server


@pytest.fixture(scope="session")
def _website():
    with Website() as website:
        yield website


@pytest.fixture
def website(_website):
    _website.clear()
    return _website
