"""That the benchmarks work, with tiny sizes; and what a request costs in counts that no clock can change.

No test here looks at how long anything takes: `python3 -m tests.benchmarks` does.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from dpop_asgi import MemoryStore
from tests.benchmarks import in_process
from tests.benchmarks.__main__ import SECTIONS
from tests.benchmarks.figures import Figure, Results, Spread
from tests.benchmarks.material import FastClient, FastIssuer, fields_of, scope
from tests.benchmarks.subjects import Sink, bare, nonce_of, protected, redis_store
from tests.set_up import CLIENTS
from tests.support.processes import ROOT

# The harness


# Of each section, its figures and how the titles of its tables begin.
FIGURES = {"in process": 10, "throughput": 4, "Redis": 4, "processes": 1, "memory": 1}
TABLES = ("One request in process", "Throughput under", "Processor time of Redis", "Processes that share", "Memory, ")


def _written(tmp_path, redis_binary, *sections):
    """What a quick run of these wrote."""
    only = [word for section in sections for word in ("--only", section)]
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", *only, "--json", str(tmp_path / "f.json")]
    environment = {**os.environ, "REDIS_SERVER": redis_binary}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "f.json").read_text())


def test_each_section_measures_something_and_writes_it(tmp_path, redis_binary):
    sections = [section for section in SECTIONS if section != "peers"]
    written = _written(tmp_path, redis_binary, *sections)
    assert written["settings"]["sections"] == sections
    assert Counter(figure["section"] for figure in written["figures"]) == FIGURES
    tables = {table["title"]: table["rows"] for table in written["tables"]}
    assert [begin for begin in TABLES if not any(title.startswith(begin) for title in tables)] == []
    assert all(tables.values())


def test_a_section_that_is_asked_for_is_measured_alone(tmp_path, redis_binary):
    if not (CLIENTS / "node_modules").exists():
        pytest.skip("no oauth4webapi: run the tests by `python3 -m tests`, which installs it")
    written = _written(tmp_path, redis_binary, "peers")
    assert written["settings"]["sections"] == ["peers"]
    assert Counter(figure["section"] for figure in written["figures"]) == {"peers": 5}
    assert all(table["rows"] for table in written["tables"])


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        pytest.param({}, None, id="no bound"),
        pytest.param({"at_most": 1.5}, True, id="at the upper bound"),
        pytest.param({"at_most": 1.4}, False, id="above"),
        pytest.param({"at_least": 1.5}, True, id="at the lower bound"),
        pytest.param({"at_least": 1.6}, False, id="below"),
    ],
)
def test_a_figure_says_whether_its_bound_holds(bound, holds):
    figure = Figure("section", "what", Spread(1.5, 1.0, 2.0), "times", **bound)
    assert figure.holds is holds
    assert Results(figures=[figure]).all_hold is (holds is not False)


def test_a_ratio_is_formed_round_by_round():
    """The second round was disturbed: ten times slower, for both."""
    assert Spread.of_ratios([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 2.0)


# What a request costs

# Calls of Python and built-in functions, on Python 3.11, and a twentieth more. What needs more has to say why.
CALLS = {
    in_process.ACCEPTED: 216,
    in_process.ROUTES: 259,
    in_process.INTROSPECTED: 217,  # the lock of MemoryStore
    in_process.FIRST: 417,  # the lock of MemoryStore
    in_process.CHALLENGE: 146,
    in_process.COLD_CHALLENGE: 198,
    in_process.GARBAGE: 74,
}


def calls(app, scope):
    """Calls of Python and built-in functions while an app responds, which must not have to wait for anything."""
    sink, seen = Sink(), 0

    def count(_frame, event, _argument):
        nonlocal seen
        seen += event in {"call", "c_call"}

    responding, before = app(scope, sink.receive, sink.send), sys.getprofile()
    sys.setprofile(count)
    try:
        responding.send(None)
    except StopIteration:
        return seen
    finally:
        sys.setprofile(before)
    raise AssertionError("the app waited")


class Switches:
    """Awaits something and counts how often it had to wait: each time the event loop goes elsewhere and comes back."""

    def __init__(self, awaitable):
        self._awaitable = awaitable
        self.count = 0

    def __await__(self):
        for waited_for in self._awaitable.__await__():
            self.count += 1
            yield waited_for


_issuer = FastIssuer()


@pytest.fixture
def app(clock):
    return protected(MemoryStore(clock=clock), _issuer.jwks, clock=clock)


async def _warmed(app, clock, count):
    """Requests of a client that was here before."""
    client = FastClient(_issuer, now=clock.now)
    nonce = await nonce_of(app, client.fields(now=clock.now, nonce=None))
    first, *others = map(scope, fields_of([client], count + 1, now=clock.now, nonce=nonce))
    await _accept(app, first)
    return others


async def _accept(app, *scopes):
    sink = Sink()
    await asyncio.gather(*(app(one, sink.receive, sink.send) for one in scopes))
    assert sink.statuses == [200] * len(scopes)


async def _calls_of(row):
    rows = await in_process.prepared(protected(MemoryStore(), _issuer.jwks), _issuer, 5)
    # The least: now and then one also renews the nonces.
    return min(calls(rows[row].app, one) for one in rows[row].arrived(0))


@pytest.mark.parametrize("row", CALLS)
async def test_a_request_costs_no_more_calls_than_it_did(row):
    # Again if it seems so: if the nonce rotated in between, each of them is told the new one.
    assert await _calls_of(row) <= CALLS[row] or await _calls_of(row) <= CALLS[row]


async def test_counting_calls_counts_those_of_the_app():
    async def twice(scope, receive, send):
        await bare(scope, receive, send)
        await bare(scope, receive, send)

    assert calls(twice, {}) > calls(bare, {}) > 0


async def test_with_the_memory_store_a_request_never_waits(app, clock):
    (request,) = await _warmed(app, clock, 1)
    sink = Sink()
    switches = Switches(app(request, sink.receive, sink.send))
    await switches
    assert (sink.statuses, switches.count) == ([200], 0)


async def test_a_challenge_never_waits_once_the_nonces_are_known(app, clock):
    await _warmed(app, clock, 0)
    sink = Sink()
    fields = FastClient(_issuer, now=clock.now).fields(now=clock.now, nonce=None)
    switches = Switches(app(scope(fields), sink.receive, sink.send))
    await switches
    assert (sink.statuses, switches.count) == ([401], 0)


@pytest.fixture
async def shared(redis_server, clock):
    """The middleware on Redis, connected and warm."""
    store = redis_store(redis_server.url)
    yield protected(store, _issuer.jwks, clock=clock)
    await store.aclose()


async def test_with_the_redis_store_a_request_waits_once(shared, clock):
    (request,) = await _warmed(shared, clock, 1)
    sink = Sink()
    switches = Switches(shared(request, sink.receive, sink.send))
    await switches
    assert (sink.statuses, switches.count) == ([200], 1)


async def test_requests_that_wait_at_the_same_time_share_round_trips(shared, clock, redis_server):
    requests = await _warmed(shared, clock, 200)
    with redis_server.client(single_connection_client=True) as connection:
        before = connection.info("everything")
        await _accept(shared, *requests)
        after = connection.info("everything")
    assert after["cmdstat_set"]["calls"] - before["cmdstat_set"]["calls"] == 200
    # 200 commands of some 110 bytes are more than Redis reads at a time, and the self-check asks something too.
    assert after["total_reads_processed"] - before["total_reads_processed"] <= 20
