"""What tests have started ends with them, however they end."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.support import processes
from tests.support.processes import ROOT, wait_until

TESTS = """
import os, subprocess, time
import pytest
from tests.support.processes import RedisServer

@pytest.fixture(scope="session")
def server(redis_binary):
    with RedisServer(redis_binary) as server:
        yield server

def test_that_lasts(server, capfd):
    with capfd.disabled():
        print(server._process._popen.pid, flush=True)
    time.sleep(300)
"""


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [pytest.param(how, id=how.name) for how in (signal.SIGTERM, signal.SIGKILL)])
def test_servers_end_with_the_pytest_that_has_started_them(redis_binary, tmp_path, how):
    """N20: they were left running."""
    (tmp_path / "test_one.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", ROOT / "pyproject.toml", tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        server = int(next(filter(str.isdigit, map(str.strip, running.stdout))))
        assert _runs(server)
        running.send_signal(how)
        running.stdout.read()
    wait_until(lambda: not _runs(server), "the server goes on")


def test_a_port_that_is_not_given_away_is_not_claimed(monkeypatch):
    with socket.socket() as taken:
        taken.bind((processes.HOST, 0))
        port, free = taken.getsockname()[1], processes.free_port()
        refused, kept = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        monkeypatch.setattr(processes, "_claim", {port: refused, free: kept}.get)
        drawn = iter([port, free])
        monkeypatch.setattr(processes.random, "randrange", lambda *_: next(drawn))
        assert processes.free_port() == free
    assert (refused.fileno(), kept.fileno() >= 0) == (-1, True)
