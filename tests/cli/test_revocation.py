"""`dpop-asgi nonces` and `dpop-asgi revoke`: what they print, and what they do to the store of a server."""

import asyncio
import io
import json
import re
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dpop_asgi import NoncePolicy, Reason, RedisStore, Refusal
from dpop_asgi.cli.app import app as command
from dpop_asgi.cli.revocation.look import Slot, Window
from dpop_asgi.cli.revocation.screen import print_window
from dpop_asgi.core.revoked import Revoked
from dpop_asgi.testing import Client
from tests.support.decisions import Resource
from tests.support.processes import NO_ROTATION

KEY = "DEL4QEP6ajnZ6gGtaIkkoNxX4mGGqGbX6BTyrWZto7w"
SHORTENED = re.compile(r"[\w-]{8}…")


@pytest.fixture
def run(redis_server):
    """Runs a command as where a server runs whose nonces don't rotate, and checks what it prints."""

    def run(*arguments, code=0, **environment):
        usual = {"DPOP_STORE": redis_server.url, "DPOP_NONCE_PERIOD": str(NO_ROTATION), "COLUMNS": "80"}
        done = CliRunner().invoke(command, arguments, env={**usual, **environment})
        assert done.exit_code == code, done.output
        assert code == 2 or max(map(len, done.stdout.splitlines()), default=0) <= 80
        return done.output

    return run


@pytest.fixture
def worker(redis_server):
    """Does something as a worker that has just started."""

    def worker(act, client=None, *, fence=True):
        async def once():
            store = RedisStore(redis_server.url, timeout=10.0, fence=fence)
            nonces = NoncePolicy(period=NO_ROTATION)
            result = await act(Resource(time.time, client or Client(), store=store, nonces=nonces))
            await store.aclose()
            return result

        return asyncio.run(once())

    return worker


async def _nonce(resource):
    return await resource.authenticator.challenge_nonce()


def _outcome(nonce=None):
    """Why a worker rejects a request, or that it accepts it."""

    async def ask(resource):
        try:
            await resource.accept(resource.headers(nonce=nonce or await _nonce(resource)))
        except Refusal as refusal:
            return refusal.reason
        return "accepted"

    return ask


# nonces


@pytest.mark.parametrize("fence", [True, False], ids=["fence", "no-fence"])
def test_the_window_is_shown_and_no_nonce_in_full(run, worker, fence):
    assert "No worker has agreed on nonces here lately" in run("nonces")
    nonce = worker(_nonce, fence=fence)
    shown, document = run("nonces"), json.loads(run("nonces", "--json"))
    assert re.search(r"^revoked +never *$", shown, re.MULTILINE)
    assert f"{nonce[:8]}…   issued, accepted" in shown
    assert nonce[:9] not in shown + json.dumps(document)
    assert (document["format"], document["nonces_revoked_at"], document["revoked_keys"]) == (1, None, 0)
    assert [(slot["accepted"], slot["issued"], slot["agreed"]) for slot in document["slots"]] == [
        (True, False, 1),
        (True, True, 1),
        (True, False, 1),
        *[(False, False, 1)] * 4,
    ]
    assert all(SHORTENED.fullmatch(nonce) for slot in document["slots"] for nonce in slot["nonces"])


def test_looking_writes_nothing(run, worker, redis_server):
    worker(_nonce)
    with redis_server.client() as redis:
        before = {key: redis.get(key) for key in redis.scan_iter() if ":look:" not in key}
        run("nonces")
        assert {key: redis.get(key) for key in redis.scan_iter() if ":look:" not in key} == before


def test_after_a_revocation_there_are_other_nonces(run, worker):
    old = worker(_nonce)
    told = run("nonces", "revoke")
    assert "Revoked in the namespace dpop: all nonces so far" in told
    assert "Each client is challenged once." in told
    assert "No worker has agreed" in run("nonces")
    assert worker(_outcome(old)) is Reason.NONCE_UNKNOWN
    assert worker(_outcome()) == "accepted"
    assert f"{worker(_nonce)[:8]}…   issued" in (shown := run("nonces"))
    assert re.search(r"revoked +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+ s ago", shown)


def test_another_namespace_is_not_affected(run, worker):
    nonce = worker(_nonce)
    assert "namespace other" in run("nonces", "revoke", DPOP_NAMESPACE="other")
    assert worker(_nonce) == nonce


def test_in_a_cluster_tags_are_counted_instead():
    slots = tuple(
        Slot(number, number * 60.0, (number + 2) * 60.0, number < 12, number == 10, 16 - number % 2, ("x",) * 16)
        for number in range(9, 16)
    )
    window = Window(
        now=630.0,
        namespace="dpop",
        policy=NoncePolicy(),
        tags=16,
        incarnations=("01234567…", "89abcdef…", None),
        revoked=Revoked(changed=1, generation="64-abcdef", keys={KEY: 700}),
        slots=slots,
    )
    printed = io.StringIO()
    print_window(window, Console(file=printed, width=80))
    lines = [re.sub(" +", " ", line.rstrip()) for line in printed.getvalue().splitlines()]
    assert "incarnation 01234567…, 89abcdef…, not known: the fence is off" in lines
    assert "10 30 s ago 16 of 16 issued, accepted for another 90 s" in lines
    assert "15 in 4 min 15 of 16 agreed" in lines


# revoke


def test_a_key_is_revoked_listed_and_restored(run, worker):
    client = Client()
    key = client.thumbprint
    assert run("revoke") == "No key is revoked.\n"
    assert f"Revoked: {key}\nUntil 20" in run("revoke", "--key", key, "--for", "60")
    assert worker(_outcome(), client) is Reason.KEY_REVOKED
    assert worker(_outcome()) == "accepted"
    assert key in run("revoke")
    (listed,) = json.loads(run("revoke", "--json"))["keys"]
    assert listed["thumbprint"] == key
    assert abs(listed["until"] - time.time()) < 3600
    assert json.loads(run("revoke", "--key", key, "--undo", "--json")) == {"format": 1, "keys": []}
    assert worker(_outcome(), client) == "accepted"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["revoke", "--key", KEY[1:]], {}, "--key: must be the base64url SHA-256 thumbprint"),
        (["revoke", "--key", KEY, "--for", "0"], {}, "--for: must be a number of seconds"),
        (["revoke", "--undo"], {}, "--key: must be given"),
        (["revoke", "--for", "60"], {}, "--key: must be given"),
        (["revoke", "--key", KEY, "--undo", "--for", "60"], {}, "--for: has no meaning"),
        (["revoke"], {"DPOP_STORE": ""}, "--store: must be the store of the workers"),
        (["nonces"], {"DPOP_STORE": "memory://"}, "--store: must be the store of the workers"),
        (["nonces", "--store", "http://x:secret@y"], {}, "--store: not a well-formed URL"),
        (["nonces"], {"DPOP_NONCE_PERIOD": "0"}, "Nonces are off"),
        (["nonces", "revoke"], {"DPOP_NONCE_PERIOD": "0"}, "Nonces are off"),
        (["nonces"], {"DPOP_NONCE_PERIOD": "x"}, "DPOP_NONCE_PERIOD: 'x' is not a number"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments, environment, message):
    printed = run(*arguments, code=2, **environment)
    assert message in " ".join(printed.split())
    assert "secret" not in printed


@pytest.mark.parametrize("arguments", [["nonces"], ["nonces", "revoke"], ["revoke", "--key", KEY]], ids=" ".join)
def test_a_store_that_does_not_respond_is_no_success(run, arguments):
    printed = run(*arguments, "--store", "redis://user:secret@127.0.0.1:1", code=1)
    assert "ConnectionError" in printed
    assert "evoked" not in printed
    assert "secret" not in printed
