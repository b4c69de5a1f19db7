"""The command as a user starts it: a process, in a pipe or on a terminal."""

import os
import re
import signal
import socket
import sys
import threading

import pytest

from dpop_asgi.cli.explain.run import explain
from tests.cli.planted import Planted
from tests.cli.situations import Situation
from tests.support import children
from tests.support.processes import PATIENCE, RedisServer, wait_until
from tests.support.website import IntrospectionServer


class Command:
    """A run of `dpop-asgi` whose output can be read while it goes on."""

    def __init__(self, *arguments, terminal=False, **environment):
        self._read_end, write_end = os.openpty() if terminal else os.pipe()
        variables = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **environment}
        self._process = children.start(
            [sys.executable, "-m", "dpop_asgi.cli", *arguments],
            stdout=write_end,
            stderr=write_end,
            env=variables,
            # A test runner in the background ignores Ctrl+C, and what it starts would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        os.close(write_end)
        self._chunks = []
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self):
        try:
            while chunk := os.read(self._read_end, 65536):
                self._chunks.append(chunk)
        except OSError:
            pass  # how a terminal tells that nobody writes any more

    @property
    def output(self):
        return b"".join(self._chunks).decode()

    def wait_for(self, pattern):
        seen = re.compile(pattern).search
        wait_until(lambda: seen(self.output) or self._process.poll() is not None, f"no {pattern}", patience=120)
        assert seen(self.output), self.output

    def send(self, number):
        self._process.send_signal(number)

    def exit_code(self):
        code = self._process.wait(120)
        children.is_over(self._process)
        self._reader.join(PATIENCE)
        return code

    def close(self):
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
        self.exit_code()
        os.close(self._read_end)

    @property
    def addresses(self):
        """Where its servers listen, by what it prints."""
        printed = re.findall(r"(?:resource server|issuer)\b.*?http://127\.0\.0\.1:(\d+)", self.output)
        return {int(port) for port in printed}


@pytest.fixture
def start():
    """Starts `dpop-asgi` with these arguments; ended after the test at the latest."""
    started = []

    def _start(*arguments, **options):
        started.append(Command(*arguments, **options))
        return started[-1]

    yield _start
    for command in started:
        command.close()


@pytest.fixture
def nothing_is_left_of():
    """Checks that the servers of a command that has ended are gone."""

    def _check(command):
        assert len(command.addresses) == 2, command.output
        for port in command.addresses:
            with socket.socket() as probe:
                probe.settimeout(1)
                assert probe.connect_ex(("127.0.0.1", port)) != 0, port

    return _check


@pytest.fixture
def no_settings(monkeypatch):
    """Without the settings of a server that may be in the environment."""
    for name in [name for name in os.environ if name.startswith("DPOP_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def situation(client, issuer, clock, monkeypatch, no_settings):
    monkeypatch.setenv("DPOP_ISSUER", issuer.url)
    monkeypatch.setenv("DPOP_AUDIENCE", issuer.audience)
    return Situation(client, issuer, clock)


@pytest.fixture
def explained(capsys, no_settings):
    """Runs the command in this process, at the time that it judges by: its exit code, and what it printed."""

    def run(options, later=0.0):
        code = explain(options, clock=lambda: (options.now or 0.0) + later)
        return code, capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def _server(redis_binary):
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture(scope="module")
def _issuer():
    with IntrospectionServer() as server:
        yield server


@pytest.fixture
def planted(_issuer, _server, monkeypatch):
    planted = Planted(_issuer, _server, monkeypatch)
    yield planted
    planted.redis.execute_command("REPLICAOF", "NO", "ONE")
    planted.redis.execute_command("ACL", "DELUSER", "app")
    planted.redis.config_set("maxmemory", "0")
    planted.redis.config_set("maxmemory-policy", "noeviction")
    planted.redis.close()
