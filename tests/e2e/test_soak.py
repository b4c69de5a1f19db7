"""A short soak in which everything fails once: its ledger adds up, and nothing is left behind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.soak import faults
from tests.soak.options import Options
from tests.soak.plans import ATTACKS
from tests.soak.report import as_json
from tests.soak.run import soak
from tests.support import children
from tests.support.processes import ROOT

# Everything happens once, which takes servers that are restarted ten times: on a busy machine a minute.
pytestmark = pytest.mark.timeout(300)

EVERY_FAULT = {
    faults.REDIS_KILLED,
    faults.REDIS_FROZEN,
    faults.REDIS_RESTARTED_EMPTY,
    faults.REDIS_EMPTIED,
    faults.REDIS_FAILED_OVER,
    faults.REDIS_HANDED_OVER,
    faults.NETWORK_SILENT,
    faults.CONNECTIONS_RESET,
    faults.REPLY_LOST,
    faults.SERVER_RESTARTED,
    faults.SERVER_KILLED,
    faults.WORKERS_REPLACED,
    faults.WORKER_KILLED,
    faults.ISSUER_AWAY,
    faults.KEY_ROTATED,
}
USES = {
    *("once", "copies at once", "again", "again later", "again as the nonce dies", "again after a repair"),
    *("without a nonce", "with an old nonce", "from a new client"),
}


@contextlib.asynccontextmanager
async def _unwatched(_):
    yield


@pytest.fixture(scope="module")
def ledger(redis_binary):
    """It goes on until everything has happened once, so about fifteen seconds."""
    options = Options(seconds=10, rate=100, fault_pause=0.5, nonce_period=2, clients=20, seed=3, redis=redis_binary)
    return asyncio.run(soak(options, _unwatched))


def test_nothing_is_wrong(ledger):
    assert ledger.failure is None
    assert list(map(str, ledger.violations)) == []
    assert ledger.good


def test_everything_has_happened(ledger):
    assert ledger.faults.keys() >= EVERY_FAULT
    assert ledger.sent.keys() == USES | {f"hostile: {name}" for name in ATTACKS}


def test_every_request_is_in_the_ledger_once(ledger):
    assert ledger.requests > ledger.options.rate * ledger.options.seconds / 2
    assert ledger.answers.total() == ledger.requests
    assert ledger.sent.total() == ledger.requests
    assert ledger.milliseconds.total() == ledger.requests


def test_every_answer_200_is_to_another_proof(ledger):
    assert ledger.answers["200"] == ledger.accepted > 0


def test_what_is_explained_was_answered(ledger):
    explained = dict.fromkeys(ledger.answers, 0)
    for (answer, _), times in ledger.explained.items():
        explained[answer] += times
    unanswered = {"503", "no connection", "answer lost"}
    assert explained["503"] > 0
    assert {answer: explained.get(answer, 0) for answer in unanswered} == {
        answer: ledger.answers[answer] for answer in unanswered
    }


def test_every_proof_in_redis_has_an_end(ledger):
    assert ledger.redis["keys"] > 0
    assert ledger.redis["without_end"] == 0


def test_memory_of_every_worker_is_watched(ledger):
    assert [process.name for process in ledger.processes] == [
        *("Redis", "server a, worker 1", "server a, worker 2", "server b, worker 1", "server b, worker 2")
    ]
    assert [process.steady for process in ledger.processes] == [False, True, True, False, False]
    assert all(process.at_last > 0 for process in ledger.processes)


def _assert_gone(process):
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_no_process_is_left(ledger):
    for process in ledger.processes:
        _assert_gone(process.process)


def test_programs_can_read_the_ledger(ledger):
    told = json.loads(json.dumps(as_json(ledger)))
    assert (told["good"], told["requests"], told["accepted_twice"]) == (True, ledger.requests, 0)


def test_an_interrupted_soak_tells_the_ledger_so_far_and_leaves_no_process(tmp_path):
    json_file = tmp_path / "ledger.json"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.5", "--rate", "20", "--json", str(json_file)]
    with children.start(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "starting" in running.stdout.readline()
        assert "nothing wrong" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        told = running.stdout.read()
    children.is_over(running)
    assert "this is the ledger so far" in told
    assert running.returncode == 0
    ledger = json.loads(json_file.read_text())
    assert ledger["interrupted"]
    assert ledger["requests"] > 0
    assert ledger["processes"]
    for process in ledger["processes"]:
        _assert_gone(process["process"])
