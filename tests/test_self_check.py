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
from dpop_asgi.stores.redis.health import READ_ONLY, findings
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


# The store


async def test_a_sound_server_gives_nothing_to_mend_and_a_replica_is_reported(redis_server, redis_binary):
    with RedisServer(redis_binary, "--replicaof", f"127.0.0.1 {redis_server.port}") as replica:
        for server, told in ((redis_server, []), (replica, [READ_ONLY])):
            store = RedisStore(server.url, timeout=10.0)
            assert await _authenticator(store).self_check.findings() == told
            await store.aclose()


NOW = 1_700_000_000
SOUND = {"redis_version": "7.0.0", "role": "master", "maxmemory": "100", "server_time_usec": f"{NOW}000000"}


@pytest.mark.parametrize(
    ("facts", "ahead", "told"),
    [
        pytest.param({}, 0.0, [], id="7.0"),
        pytest.param({"redis_version": "10.1"}, 0.0, [], id="10.1"),
        pytest.param({"redis_version": "6.2.14"}, 0.0, ["needs Redis 7.0 or newer"], id="6.2"),
        pytest.param({"redis_version": ""}, 0.0, ["needs Redis 7.0 or newer"], id="no-version"),
        pytest.param({"maxmemory_policy": "volatile-ttl"}, 0.0, ["maxmemory-policy noeviction"], id="drops-proofs"),
        pytest.param({"maxmemory_policy": "volatile-ttl", "maxmemory": "0"}, 0.0, [], id="would-if-it-had-a-limit"),
        pytest.param({}, 4.0, [], id="four-seconds-ahead"),
        pytest.param({}, -4.0, [], id="four-seconds-behind"),
        pytest.param({}, 8.0, ["8 s ahead of"], id="eight-seconds-ahead"),
        pytest.param({}, -8.0, ["8 s behind"], id="eight-seconds-behind"),
    ],
)
def test_what_a_server_tells_of_itself_is_judged(facts, ahead, told):
    found = findings({**SOUND, **facts}, now=NOW + ahead)
    assert [part in finding for part, finding in zip(told, found, strict=True)] == [True] * len(told)


async def test_a_user_who_may_not_ask_is_told_that_there_is_no_fence_and_works(redis_server, caplog):
    with redis_server.client() as connection:
        connection.execute_command("ACL", "SETUSER", "app", "reset", "on", ">sesame", "~dpop:*", "+set", "+ping")
        store = RedisStore(f"redis://app:sesame@127.0.0.1:{redis_server.port}/0", timeout=10.0)
        with caplog.at_level("INFO", "dpop_asgi"):
            (finding,) = await _authenticator(store).self_check.findings()
            assert await store.incarnation("dpop:look") is None
            assert await store.put_if_absent("dpop:key", "mine", ttl=60.0) == "mine"
        connection.execute_command("ACL", "DELUSER", "app")
    assert finding.startswith("the fence is off")
    assert "+info" in finding
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "each once"
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
    await _look(check)
    clock.advance(-1.0)
    await _look(check)
    assert store.looks == len(rows) + 2, "a clock that was set back"


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


async def test_a_process_whose_verifier_is_not_ready_is_not_ready():
    with pytest.raises(ValueError, match="hunter2"):
        await Authenticator(verify_token=_Custom(), store=MemoryStore()).ready()
