"""A store for one process warns when its process is not the only one, and only then."""

import multiprocessing
import os
import subprocess
import sys
from types import SimpleNamespace

import httpx2
import pytest

from dpop_asgi import MemoryStore
from dpop_asgi.stores.workers import several_workers
from tests.support.managers import Manager
from tests.support.processes import PATIENCE, ROOT, wait_until

WARNING = "MemoryStore: several workers seem to run"


@pytest.mark.parametrize("name", ["gunicorn", "gunicorn, not preloaded", "uvicorn"])
def test_several_workers_of_a_real_server_are_warned_of(name, issuer_server):
    """X09"""
    with Manager(name, issuer_server.issuer, store="memory://") as manager:
        wait_until(lambda: WARNING in manager.log, "no warning")


@pytest.mark.parametrize("name", ["gunicorn, one worker", "uvicorn, one worker", "uvicorn, reloader"])
def test_one_worker_of_a_real_server_is_not_warned_of(name, issuer_server):
    """X09, N12"""
    with Manager(name, issuer_server.issuer, store="memory://") as manager:
        # It has been imported, and now it is used.
        assert httpx2.get(f"{manager.url}/healthz", timeout=PATIENCE).json() == {"store": "ok"}
        assert WARNING not in manager.log


@pytest.mark.parametrize(
    ("concurrency", "parent", "several"),
    [("2", None, True), ("1", None, False), ("", None, False), ("many", None, False), ("", "a manager", True)],
)
def test_of_an_unknown_server_the_environment_and_a_parent_process_tell(
    monkeypatch, caplog, concurrency, parent, several
):
    monkeypatch.setenv("WEB_CONCURRENCY", concurrency)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    MemoryStore()
    assert len(caplog.messages) == several
    assert all(message.startswith(WARNING) for message in caplog.messages)
    assert all(word in message for message in caplog.messages for word in ("RedisStore", "replayed"))


def _called_by(module, **variables):
    """What is found when a function of this module, with these variables, is further down the stack."""
    source = f"def serve(call, {', '.join(variables)}):\n    return call()"
    names = {"__name__": module}
    exec(source, names)
    return names["serve"](lambda: several_workers(made_in=os.getpid()), **variables)


def _of(**values):
    return SimpleNamespace(**values)


@pytest.mark.parametrize(
    ("module", "variables", "several"),
    [
        pytest.param("uvicorn.server", {"self": _of(config=_of(workers=1))}, False, id="uvicorn"),
        pytest.param("uvicorn._subprocess", {"config": _of(workers=3, should_reload=False)}, True, id="uvicorn-3"),
        pytest.param("uvicorn._subprocess", {"config": _of(workers=3, should_reload=True)}, False, id="uvicorn-reload"),
        pytest.param("gunicorn.arbiter", {"self": _of(cfg=_of(workers=1, reload=True))}, False, id="gunicorn"),
        pytest.param("gunicorn.workers.base", {"self": _of(cfg=_of(workers=3, reload=True))}, True, id="gunicorn-3"),
        pytest.param("hypercorn.asyncio.run", {"config": _of(workers=1)}, False, id="hypercorn"),
        pytest.param("hypercorn.asyncio.run", {"config": _of(workers=2)}, True, id="hypercorn-2"),
        pytest.param("granian.server.mp", {"self": _of(workers=1), "worker_id": 1}, False, id="granian"),
        pytest.param("granian.server.mp", {"self": _of(workers=2), "worker_id": 1}, True, id="granian-2"),
        pytest.param("granian.server.mp", {"worker_id": 1}, False, id="granian-spawned-first"),
        pytest.param("granian.server.mp", {"worker_id": 2}, True, id="granian-spawned-second"),
        pytest.param("pool", {"self": _of(workers=8), "config": _of(workers=8)}, False, id="no-server"),
        pytest.param("uvicorn.server", {"self": _of(workers="8"), "config": None}, False, id="no-number"),
    ],
)
def test_each_server_is_recognised_by_what_it_has_on_the_stack(module, variables, several):
    """X09, N12: uvicorn and gunicorn are also tried above; as seen with hypercorn 0.18 and granian 2.8."""
    assert _called_by(module, **variables) is several


def test_what_the_server_says_counts_more_than_the_environment(monkeypatch):
    """N12: uvicorn's reloader does not heed it."""
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    assert _called_by("uvicorn._subprocess", config=_of(workers=2, should_reload=True)) is False


FORKING = """
import asyncio, os
from dpop_asgi import MemoryStore
store = MemoryStore()
if child := os.fork():
    os.waitpid(child, 0)
for key in "ab":
    asyncio.run(store.put_if_absent(key, "value", ttl=1.0))
"""


def test_a_store_that_was_made_before_a_fork_warns_once_where_it_was_not_made():
    """X09: a process manager that nobody here knows."""
    environment = {name: value for name, value in os.environ.items() if name != "WEB_CONCURRENCY"}
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert done.stderr.count(WARNING) == 1
