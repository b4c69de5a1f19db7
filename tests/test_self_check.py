"""What the operator is told when a process starts."""

import asyncio
import time

import pytest

from dpop_asgi import Authenticator, MemoryStore, RedisStore, StoreError
from dpop_asgi.stores.redis.health import findings
from tests.support.processes import RedisServer, free_port


async def _nobody(token):
    raise AssertionError


def _authenticator(store, **options):
    return Authenticator(verify_token=_nobody, store=store, **options)


async def _found(server, *, clock=time.time):
    store = RedisStore(server.url, timeout=10.0)
    found = await _authenticator(store, clock=clock).self_check.findings()
    await store.aclose()
    return found


async def test_a_sound_server_gives_nothing_to_mend(redis_server):
    assert await _found(redis_server) == []


@pytest.mark.parametrize("policy", [pytest.param(name, id=name) for name in ("allkeys-lru", "volatile-ttl")])
async def test_a_policy_that_drops_used_proofs_is_reported_with_what_to_set(redis_binary, policy):
    with RedisServer(redis_binary, "--maxmemory", "100mb", "--maxmemory-policy", policy) as server:
        (finding,) = await _found(server)
    assert policy in finding
    assert "Set maxmemory-policy noeviction" in finding


async def test_a_policy_that_never_applies_is_not_told(redis_binary):
    with RedisServer(redis_binary, "--maxmemory", "0", "--maxmemory-policy", "allkeys-lru") as server:
        assert await _found(server) == []


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        pytest.param(4.0, None, id="four-seconds-ahead"),
        pytest.param(-4.0, None, id="four-seconds-behind"),
        pytest.param(8.0, "ahead of", id="eight-seconds-ahead"),
        pytest.param(-8.0, "behind", id="eight-seconds-behind"),
    ],
)
async def test_a_clock_that_is_far_from_the_stores_is_reported(redis_server, ahead, told):
    found = await _found(redis_server, clock=lambda: time.time() + ahead)
    assert [told in finding for finding in found] == ([True] if told else [])


async def test_a_replica_is_reported(redis_server, redis_binary):
    replicaof = ("--replicaof", f"127.0.0.1 {redis_server.port}")
    with RedisServer(redis_binary, *replicaof) as replica:
        (finding,) = await _found(replica)
    assert "read-only replica" in finding


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        pytest.param("6.2.14", True, id="6.2"),
        pytest.param("7.0.0", False, id="7.0"),
        pytest.param("10.1", False, id="10.1"),
        pytest.param("", True, id="none"),
    ],
)
def test_a_version_that_lacks_the_command_is_reported(version, is_old):
    found = list(findings({"redis_version": version, "role": "master"}, now=0.0))
    assert [("7.0 or newer" in finding) for finding in found] == [True] * is_old


async def test_a_user_who_may_not_ask_is_told_that_there_is_no_fence_and_works(redis_server, caplog):
    with redis_server.client() as connection:
        connection.execute_command("ACL", "SETUSER", "app", "reset", "on", ">sesame", "~dpop:*", "+set", "+ping")
        store = RedisStore(f"redis://app:sesame@127.0.0.1:{redis_server.port}/0", timeout=10.0)
        with caplog.at_level("INFO", "dpop_asgi"):
            (finding,) = await _authenticator(store).self_check.findings()
        connection.execute_command("ACL", "DELUSER", "app")
    assert finding.startswith("the fence is off")
    assert "does not allow INFO" in caplog.text
    await store.aclose()


async def test_a_server_that_is_unavailable_is_told_and_nothing_is_raised():
    store = RedisStore(f"redis://127.0.0.1:{free_port()}/0")
    (finding,) = await _authenticator(store).self_check.findings()
    assert finding.startswith("the store could not be looked at: ")
    await store.aclose()


async def test_what_is_found_is_logged_once_per_process(caplog):
    class Own(MemoryStore):
        async def findings(self, clock):  # noqa: ARG002 - as it is called
            return ["something to mend"]

    authenticator = _authenticator(Own())
    for _ in range(3):
        authenticator.self_check.start()
        await asyncio.sleep(0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count("self-check: ") == 1


async def test_a_store_of_ones_own_need_not_be_one_that_can_be_looked_at():
    class Own:
        async def put_if_absent(self, key, value, *, ttl):  # noqa: ARG002 - as the protocol has it
            return value

        async def aclose(self):
            raise AssertionError

    assert await _authenticator(Own()).self_check.findings() == []


async def test_a_process_is_ready_when_the_store_takes_values(redis_server):
    store = RedisStore(redis_server.url, timeout=10.0)
    await _authenticator(store).ready()
    await store.aclose()


async def test_a_process_whose_store_is_unavailable_is_not_ready():
    store = RedisStore(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreError):
        await _authenticator(store).ready()
    await store.aclose()


async def test_a_process_whose_verifier_is_not_ready_is_not_ready():
    class Verifier:
        async def __call__(self, token):  # noqa: ARG002 - as the protocol has it
            raise AssertionError

        async def ready(self):
            raise StoreError("the issuer's keys")

    with pytest.raises(StoreError, match="the issuer's keys"):
        await Authenticator(verify_token=Verifier(), store=MemoryStore()).ready()
