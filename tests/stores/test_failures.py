"""What a failure of Redis says of it: unavailable is only what was seen to be (`on_store_failure="accept"`)."""

import asyncio
import contextlib
import errno

import hiredis
import pytest
import uvloop
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from dpop_asgi import RedisStore, StoreError, StoreUnavailable
from dpop_asgi.stores.redis.errors import failure
from tests.support.processes import free_port

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


class Answering:
    """Takes connections, and has one answer to whatever is SET."""

    def __init__(self, answer):
        self._answer = answer

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        commands = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                commands.feed(data)
                while command := commands.gets():
                    writer.write(self._answer if command[0] == b"SET" else b"+OK\r\n")
                if not self._answer:
                    break
        writer.close()


async def _fails(url):
    store = RedisStore(url, timeout=5.0)
    with pytest.raises(StoreError) as failed:
        await store.put_if_absent("key", "mine", ttl=60.0)
    await store.aclose()
    return failed.value


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", StoreUnavailable, id="loading"),
        pytest.param(b"-MASTERDOWN Link with MASTER is down\r\n", StoreUnavailable, id="master-down"),
        pytest.param(b"-CLUSTERDOWN The cluster is down\r\n", StoreUnavailable, id="cluster-down"),
        pytest.param(b"", StoreUnavailable, id="connection-closed"),
        pytest.param(b"-OOM command not allowed\r\n", StoreError, id="full"),
        pytest.param(b"-NOPERM this user has no permissions\r\n", StoreError, id="no-permission"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", StoreError, id="no-password"),
        pytest.param(b"-READONLY You can't write against a read only replica.\r\n", StoreError, id="read-only"),
        pytest.param(b"-ERR max number of clients reached\r\n", StoreError, id="too-many-clients"),
        pytest.param(b"-ERR something else\r\n", StoreError, id="some-error"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", StoreError, id="other-protocol"),
        pytest.param(b":1\r\n", StoreError, id="Z15-number"),
        pytest.param(b"*0\r\n", StoreError, id="Z15-array"),
        pytest.param(b"*1\r\n$4\r\nmine\r\n", StoreError, id="Z15-array-with-our-value"),
    ],
)
def test_what_redis_answers(new_loop, answer, kind):
    async def main():
        async with Answering(answer) as url:
            return await _fails(url)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert type(runner.run(main())) is kind


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize(
    ("url", "kind"),
    [
        pytest.param("redis://127.0.0.1:{port}", StoreUnavailable, id="refused"),
        pytest.param("redis://localhost:{port}", StoreUnavailable, id="refused-at-each-address"),
        pytest.param("unix:///{port}.sock", StoreUnavailable, id="no-such-socket"),
        pytest.param("redis://redis.invalid:{port}", StoreError, id="name-does-not-resolve"),
    ],
)
def test_where_no_redis_is(new_loop, url, kind):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert type(runner.run(_fails(url.format(port=free_port())))) is kind


def _connecting(error):
    """As redis-py tells of it."""
    try:
        try:
            raise error
        except OSError:
            raise RedisConnectionError("Error connecting to redis:6379")  # noqa: B904 - as redis-py does
    except RedisConnectionError as wrapped:
        return wrapped


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(OSError(errno.EHOSTUNREACH, "No route to host"), StoreUnavailable, id="no-route"),
        pytest.param(ConnectionResetError("Connection lost"), StoreUnavailable, id="broken-while-writing"),
        pytest.param(OSError(errno.EMFILE, "Too many open files"), StoreError, id="too-many-files"),
        pytest.param(OSError(errno.EADDRNOTAVAIL, "Cannot assign address"), StoreError, id="no-port-left"),
        pytest.param(
            OSError("Multiple exceptions: [Errno 99] no IPv6 ('::1', 1), [Errno 111] refused ('127.0.0.1', 1)"),
            StoreUnavailable,
            id="one-address-refused-the-other-none-of-ours",
        ),
        pytest.param(
            OSError("Multiple exceptions: [Errno 111] refused ('10.0.0.1', 1), [Errno 24] files ('10.0.0.2', 1)"),
            StoreError,
            id="one-address-refused-the-other-not-asked",
        ),
        pytest.param(OSError("something"), StoreError, id="unknown"),
    ],
)
def test_how_a_connection_fails(error, kind):
    """Z02: file descriptors and ports are what a flood uses up. Whoever causes that must open no door."""
    assert type(failure(error, "here")) is kind
    assert type(failure(_connecting(error), "here")) is kind


async def test_a_connection_is_given_back_with_the_timeouts_and_retries_of_its_owner(redis_server):
    retry = Retry(ConstantBackoff(1), 3)
    client = Redis(port=redis_server.port, socket_timeout=7.0, socket_connect_timeout=8.0, retry=retry)
    store = RedisStore(client, timeout=5.0)
    await store.put_if_absent("key", "mine", ttl=60.0)
    await store.aclose()
    connection = await client.connection_pool.get_connection()
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (7.0, 8.0)
    assert connection.retry.get_retries() == 3
    await client.connection_pool.release(connection)
    await client.aclose()


async def test_a_cluster_that_never_says_where_keys_are_did_not_respond_in_time(proxy, caplog):
    """The deadline is that of the store, and not redis-py's."""
    proxy.silent = True
    store = RedisStore(f"redis+cluster://127.0.0.1:{proxy.port}?socket_timeout=60", timeout=0.1)
    with pytest.raises(StoreError, match="did not respond in time: TimeoutError"):
        await store.incarnation("key")
    assert "did not respond in time: TimeoutError" in caplog.text
    await store.aclose()
