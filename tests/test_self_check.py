"""What the operator is told when a process starts, and while it runs."""

import asyncio
import time

import pytest

from dpop_asgi import (
    Authenticator,
    IntrospectionVerifier,
    JWTVerifier,
    MemoryStore,
    RedisStore,
    StoreError,
    TokensByShape,
    TrustedIssuer,
)
from dpop_asgi.stores.redis.health import findings
from dpop_asgi.testing import Client, Issuer
from tests.support.api import Api, App
from tests.support.fault_proxy import FaultProxy
from tests.support.loops import WAYS, no_complaints
from tests.support.processes import AUDIENCE, RedisServer, free_port
from tests.support.website import Page

METADATA = "/.well-known/oauth-authorization-server"


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


class _Spoilt(MemoryStore):
    """Has what `found` says, or raises it; `looks` counts. While `hangs` is set, it says nothing."""

    def __init__(self, *found):
        super().__init__()
        self.found, self.looks, self.hangs = list(found), 0, False

    async def findings(self, clock):  # noqa: ARG002 - as it is called
        self.looks += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.found and isinstance(self.found[0], Exception):
            raise self.found[0]
        return self.found


async def _look(check):
    check.start()
    await check._looking.task


async def test_it_looks_every_five_minutes_and_logs_what_is_new(clock, caplog):
    """N08"""
    store = _Spoilt()
    check = _authenticator(store, clock=clock).self_check
    rows = [
        (["the clock is 7 s ahead"], ["the clock is 7 s ahead"]),
        (["the clock is 8 s ahead"], []),
        (["the clock is 12 s ahead", "evicts"], ["the clock is 12 s ahead", "evicts"]),
        ([StoreError("timeout")], ["the store could not be looked at: timeout"]),
        ([StoreError("timeout")], []),
        (["evicts"], []),
        ([], []),
        (["evicts"], ["evicts"]),
        (["tenant 1 and 7 s, and tenant 2 and 7 s"], ["tenant 1 and 7 s, and tenant 2 and 7 s"]),
        (["tenant 2 and 8 s, and tenant 2 and 8 s"], ["tenant 2 and 8 s, and tenant 2 and 8 s"]),
        ([ValueError("hunter2")], ["the store could not be looked at: ValueError"]),
    ]
    for number, (store.found, logged) in enumerate(rows, 1):
        await _look(check)
        check.start()
        clock.advance(299.0)
        check.start()
        assert (store.looks, caplog.messages) == (number, [f"self-check: {finding}" for finding in logged])
        assert {record.levelname for record in caplog.records} <= {"WARNING"}
        caplog.clear()
        clock.advance(1.0)


async def test_a_clock_that_is_set_back_is_looked_at_at_once(clock):
    """N08"""
    store = _Spoilt()
    check = _authenticator(store, clock=clock).self_check
    await _look(check)
    clock.advance(-1.0)
    await _look(check)
    assert store.looks == 2


async def test_what_goes_wrong_later_is_found_beside_the_requests(redis_binary, caplog):
    """N08: also in a worker that is told of no start."""
    moved = [0.0]

    def clock():
        return time.time() + moved[0]

    issuer, client = Issuer("https://id.example.com", audience=AUDIENCE, clock=clock), Client(clock=clock)
    with RedisServer(redis_binary, "--maxmemory", "100mb") as server, server.client() as connection:
        store = RedisStore(server.url, timeout=10.0)
        api = Api(App(), issuer, client, clock, store=store)
        looking = api.authenticator.self_check._looking

        async def request_and_look():
            assert [(await api.request()).status for _ in range(5)] == [200] * 5
            await looking.task
            return connection.info("stats")["total_connections_received"]

        connections = await request_and_look()
        connection.config_set("maxmemory-policy", "allkeys-lru")
        assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
        moved[0] = 300.0
        api.token = issuer.access_token(client)
        # New connections are compared once, at the start.
        assert await request_and_look() == connections
        await store.aclose()
    policy, ahead = [message for message in caplog.messages if message.startswith("self-check: ")]
    assert "maxmemory-policy allkeys-lru" in policy
    assert "ahead of the Redis store's" in ahead


async def test_a_look_ends_with_the_shutdown_and_the_next_start_begins_another(clock):
    """N08"""
    store = _Spoilt()
    store.hangs = True
    authenticator = _authenticator(store, clock=clock)
    before = asyncio.all_tasks()
    authenticator.self_check.start()
    for _ in range(5):
        await asyncio.sleep(0)
    await authenticator.aclose()
    assert (store.looks, asyncio.all_tasks()) == (1, before)
    store.hangs = False
    await _look(authenticator.self_check)
    assert (store.looks, asyncio.all_tasks()) == (2, before)


async def test_what_hangs_is_reported_and_ends_no_other_look(clock, caplog, monkeypatch):
    monkeypatch.setattr("dpop_asgi.self_check._LONGEST_LOOK_SECONDS", 0.01)
    store = _Spoilt()
    store.hangs = True
    check = _authenticator(store, clock=clock).self_check
    await _look(check)
    assert caplog.messages == ["self-check: the store could not be looked at: TimeoutError"]
    clock.advance(300.0)
    await _look(check)
    assert store.looks == 2


@pytest.mark.parametrize("run", WAYS)
def test_a_look_is_left_in_no_loop_and_any_loop_may_begin_one(run, clock):
    """N08"""
    store = _Spoilt()
    check = _authenticator(store, clock=clock).self_check

    async def once():
        await _look(check)
        return asyncio.all_tasks() == {asyncio.current_task()}

    with no_complaints():
        for _ in range(3):
            assert run(once())
            clock.advance(300.0)
    assert store.looks == 3


# The issuer


def _jwt(url, **options):
    return JWTVerifier(issuer=url, audience=AUDIENCE, **options)


def _opaque(url):
    return IntrospectionVerifier(issuer=url, client_id="api", client_secret="hunter2", audience=AUDIENCE)


class _Custom:
    """A verifier of a user's that is not ready."""

    __call__ = staticmethod(_nobody)

    async def ready(self):
        raise ValueError("hunter2")


def _two(url):
    return JWTVerifier(issuers=[TrustedIssuer(issuer=f"{url}/{name}", audience=AUDIENCE) for name in "ab"])


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(lambda _: _jwt(f"http://127.0.0.1:{free_port()}"), ["cannot be fetched: "], id="nobody-there"),
        pytest.param(lambda url: _jwt(f"{url}/none"), ["responded with 404"], id="another-path"),
        pytest.param(
            lambda url: _jwt(f"{url}/"), [" instead of", "only the slash at the end differs"], id="N18: a-slash"
        ),
        pytest.param(
            lambda url: _jwt(f"{url}/other"), ["has issuer 'https://other.example' instead"], id="N18: of-another"
        ),
        pytest.param(lambda url: _jwt(url, jwks_uri=f"{url}/none"), ["/none responded with 404"], id="no-keys"),
        pytest.param(_two, ["/a cannot be fetched", "/b cannot be fetched"], id="two-issuers"),
        pytest.param(_opaque, ["introspection by http", "has no introspection_endpoint"], id="no-introspection"),
        pytest.param(lambda url: TokensByShape(jwt=_jwt(url), opaque=_opaque(url)), ["introspection"], id="by-shape"),
        pytest.param(lambda _: _Custom(), ["verified: ValueError. "], id="a-custom-verifier"),
    ],
)
async def test_an_issuer_that_cannot_work_is_found_at_the_start_with_what_to_do(website, caplog, make, found):
    """N07: once, and with what the readiness probe says."""
    website.publish(Issuer(website.url, audience=AUDIENCE))
    website.pages[f"{METADATA}/other"] = Page({"issuer": "https://other.example", "jwks_uri": "https://x"})
    authenticator = Authenticator(verify_token=make(website.url), store=MemoryStore())
    await _look(authenticator.self_check)
    [message] = caplog.messages
    assert message.startswith("self-check: ")
    assert all(part in message for part in [*found, "with the others get a 503. Compare issuer (or jwks_uri)"])
    assert "hunter2" not in message
    assert await authenticator.self_check.findings() == [message.removeprefix("self-check: ")]
    await authenticator.aclose()


@pytest.mark.parametrize(
    "options", [pytest.param({}, id="metadata"), pytest.param({"jwks": {"keys": []}}, id="known-keys")]
)
async def test_an_issuer_that_works_gives_nothing_to_mend(website, caplog, options):
    """N07"""
    website.publish(Issuer(website.url, audience=AUDIENCE))
    await _look(Authenticator(verify_token=_jwt(website.url, **options), store=MemoryStore()).self_check)
    assert caplog.messages == []
    assert website.requests == ([] if options else [METADATA, "/jwks"])


async def _says_that_it_has_started(scope, _, send):
    await send({"type": f"{scope['type']}.startup.complete"})


async def _nothing(_):
    """Is told what is sent."""


async def test_neither_the_start_nor_a_request_waits_for_an_issuer_that_hangs(website, issuer, client, clock):
    """N07"""
    async with FaultProxy(website.port) as network:
        network.silent = True
        verifier = _jwt(f"http://127.0.0.1:{network.port}", timeout=3600.0, clock=clock)
        api = Api(App(), issuer, client, clock, verify_token=verifier)
        check = api.authenticator.self_check
        api.wrap(_says_that_it_has_started, public_url="https://rs.example")
        await api.app({"type": "lifespan"}, None, _nothing)
        assert (await api.anonymous()).status == 401
        assert check._looking.under_way() is not None
        await api.authenticator.aclose()
        assert check._looking.under_way() is None
        assert verifier._sources[verifier.issuers[0]].fetching.under_way() is None


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
