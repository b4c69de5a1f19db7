"""A short soak in which everything fails once: nothing is wrong, and nothing is left behind."""

import asyncio
import contextlib
import json
import os

import pytest

from tests.soak import faults
from tests.soak.options import Options
from tests.soak.plans import ATTACKS
from tests.soak.run import soak

EVERY_FAULT = {text for name, text in vars(faults).items() if name.isupper() and isinstance(text, str)}
USES = {
    *("once", "copies at once", "again", "again later", "again as the nonce dies", "again after a repair"),
    *("without a nonce", "with an old nonce", "from a new client"),
}
PROCESSES = ["Redis", "server a, worker 1", "server a, worker 2", "server b, worker 1", "server b, worker 2"]


@contextlib.asynccontextmanager
async def _unwatched(_):
    yield


@pytest.fixture(scope="module")
def ledger(redis_binary):
    """It goes on until everything has happened once, so about fifteen seconds."""
    options = Options(seconds=10, rate=100, fault_pause=0.5, nonce_period=2, clients=20, seed=3, redis=redis_binary)
    return asyncio.run(soak(options, _unwatched))


def test_nothing_is_wrong(ledger):
    assert (ledger.failure, list(map(str, ledger.violations))) == (None, [])
    assert json.loads(json.dumps(ledger.as_json()))["good"]
    assert ledger.answers["200"] == ledger.accepted > 0


def test_everything_has_happened(ledger):
    assert len(EVERY_FAULT) == 15
    assert ledger.faults.keys() >= EVERY_FAULT
    assert ledger.sent.keys() == USES | {f"hostile: {name}" for name in ATTACKS}
    assert ledger.sent.total() == ledger.requests > ledger.options.rate * ledger.options.seconds / 2


def test_every_proof_in_redis_has_an_end(ledger):
    assert ledger.redis["keys"] > 0
    assert ledger.redis["without_end"] == 0


def test_every_process_was_watched_and_none_is_left(ledger):
    assert [process.name for process in ledger.processes] == PROCESSES
    assert [process.steady for process in ledger.processes] == [False, True, True, False, False]
    for process in ledger.processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process.process, 0)
