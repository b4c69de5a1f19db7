"""That the benchmarks work, with tiny sizes; and what a request costs in counts that no clock can change.

No test here looks at how long anything takes: `python3 -m tests.benchmarks` does.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from types import coroutine

import pytest

from dpop_asgi import MemoryStore
from tests.benchmarks import in_process
from tests.benchmarks.__main__ import SECTIONS, main
from tests.benchmarks.figures import Figure, Results, Spread
from tests.benchmarks.material import FastClient, FastIssuer, fields_of, scope
from tests.benchmarks.subjects import Sink, nonce_of, protected, redis_store
from tests.set_up import CLIENTS
from tests.support.processes import ROOT

# The harness


# Of each section, its figures and how the titles of its tables begin.
FIGURES = {"in process": 10, "throughput": 4, "Redis": 4, "processes": 1, "memory": 1}
TABLES = ("One request in process", "Throughput under", "Processor time of Redis", "Processes that share", "Memory, ")


def test_each_section_measures_something_and_writes_it(tmp_path, redis_binary):
    if not (CLIENTS / "node_modules").exists():
        pytest.skip("no oauth4webapi: run the tests by `python3 -m tests`, which installs it")
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", str(tmp_path / "f.json")]
    environment = {**os.environ, "REDIS_SERVER": redis_binary}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "f.json").read_text())
    assert written["settings"]["sections"] == list(SECTIONS)
    assert Counter(figure["section"] for figure in written["figures"]) == {**FIGURES, "peers": 5}
    tables = {table["title"]: table["rows"] for table in written["tables"]}
    assert [begin for begin in TABLES if not any(title.startswith(begin) for title in tables)] == []
    assert all(tables.values())


def test_a_section_that_is_asked_for_is_measured_alone(tmp_path, redis_binary, monkeypatch):
    measured = []
    monkeypatch.setenv("REDIS_SERVER", redis_binary)
    for name in SECTIONS:
        monkeypatch.setitem(SECTIONS, name, lambda _, name=name: measured.append(name))
    assert main(["--quick", "--only", "redis", "--json", str(tmp_path / "f.json")]) == 0
    assert measured == ["redis"]


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


_issuer = FastIssuer()


async def _wrong_counts():
    """Those that are too high; one that is far too low was not counted."""
    rows = await in_process.prepared(protected(MemoryStore(), _issuer.jwks), _issuer, 5)
    # The least: now and then one also renews the nonces.
    counted = {row: min(calls(rows[row].app, one) for one in rows[row].arrived(0)) for row in CALLS}
    return {row: count for row, count in counted.items() if not CALLS[row] / 2 < count <= CALLS[row]}


async def test_a_request_waits_for_nothing_and_costs_no_more_calls_than_it_did():
    # Again if it seems so: if the nonce rotated in between, each of them is told the new one.
    assert await _wrong_counts() == {} or await _wrong_counts() == {}


@coroutine
def _noting(awaitable, waits):
    """Awaits something, and notes each time that the event loop goes elsewhere meanwhile and comes back."""
    for waited_for in awaitable.__await__():
        waits.append(waited_for)
        yield waited_for


async def test_with_the_redis_store_requests_wait_once_and_share_round_trips(redis_server, clock):
    store, sink, waits = redis_store(redis_server.url), Sink(), []
    app, client = protected(store, _issuer.jwks, clock=clock), FastClient(_issuer, now=clock.now)
    nonce = await nonce_of(app, client.fields(now=clock.now, nonce=None))
    first, second, *others = map(scope, fields_of([client], 202, now=clock.now, nonce=nonce))
    await app(first, sink.receive, sink.send)
    await _noting(app(second, sink.receive, sink.send), waits)
    with redis_server.client(single_connection_client=True) as connection:
        told = [connection.info("stats")]
        for _ in ("accepted", "replays"):
            await asyncio.gather(*(app(dict(one), sink.receive, sink.send) for one in others))
            told.append(connection.info("stats"))
    await store.aclose()
    assert (sink.statuses, len(waits)) == ([200] * 202 + [401] * 200, 1)
    for before, after in pairwise(told):
        # Something is asked by the second, too, and by the self-check.
        assert after["total_commands_processed"] - before["total_commands_processed"] in range(200, 225)
        # 200 commands of some 110 bytes are more than Redis reads at a time.
        assert after["total_reads_processed"] - before["total_reads_processed"] <= 20
