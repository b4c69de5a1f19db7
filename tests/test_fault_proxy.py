"""The proxy that tests break connections with does to them what it says."""

import asyncio
import contextlib
import time

import pytest

from tests.support.fault_proxy import Cut, FaultProxy

REPLY = b"0123456789"


async def _echo(reader, writer):
    """Answers every byte with ten, until the client has gone."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1):
            writer.write(REPLY if data != b"q" else b"")
            if data == b"q":
                break
    writer.close()


@pytest.fixture
async def proxy():
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


class Peer:
    """A client of the proxy."""

    def __init__(self, streams):
        self.reader, self.writer = streams

    async def ask(self, size=10, request=b"x"):
        self.writer.write(request)
        async with asyncio.timeout(60.0):
            return await self.reader.readexactly(size)

    async def hears_nothing(self):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.reader.read(1)
        return True


@pytest.fixture
async def connect(proxy):
    peers = []

    async def connect():
        peers.append(Peer(await asyncio.open_connection("127.0.0.1", proxy.port)))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.writer.transport.abort()


async def test_without_faults_bytes_pass(proxy, connect):
    peer = await connect()
    assert [await peer.ask(), await peer.ask()] == [REPLY, REPLY]
    assert proxy.connections == 1


async def test_the_servers_end_of_a_connection_is_passed_on(connect):
    peer = await connect()
    peer.writer.write(b"xq")
    assert await peer.reader.read() == REPLY


@pytest.mark.parametrize("way", ["requests", "replies"])
async def test_latency(proxy, connect, way):
    getattr(proxy, way).delay = 0.1
    peer = await connect()
    start = time.monotonic()
    assert await peer.ask() == REPLY
    assert time.monotonic() - start >= 0.1


async def test_a_slow_trickle(proxy, connect):
    proxy.replies.pace = 0.02
    peer = await connect()
    peer.writer.write(b"x")
    assert await peer.reader.read(100) == b"0"
    assert await peer.reader.readexactly(9) == REPLY[1:]


async def test_a_black_hole_takes_connections_and_bytes_and_gives_nothing(proxy, connect):
    before = await connect()
    await before.ask()
    proxy.silent = True
    for peer in (before, await connect()):
        peer.writer.write(b"xq")
        assert await peer.hears_nothing()
    proxy.silent = False
    assert await (await connect()).ask() == REPLY


async def test_a_black_hole_does_not_tell_that_the_server_has_gone(proxy, connect):
    peer = await connect()
    proxy.replies.silent = True
    peer.writer.write(b"q")
    assert await peer.hears_nothing()


@pytest.mark.parametrize("after", [0, 3, 10])
async def test_a_reply_is_cut_by_a_reset(proxy, connect, after):
    peer = await connect()
    await peer.ask()
    proxy.replies.cut = Cut(after)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.ask(after + 1)
    proxy.heal()
    assert await (await connect()).ask() == REPLY


async def test_a_reply_is_cut_by_the_end_of_the_connection(proxy, connect):
    proxy.replies.cut = Cut(3, "close")
    peer = await connect()
    peer.writer.write(b"x")
    assert await peer.reader.read() == REPLY[:3]


async def test_a_reply_that_is_cut_hangs(proxy, connect):
    proxy.replies.cut = Cut(3, "hang")
    peer = await connect()
    assert await peer.ask(3) == REPLY[:3]
    assert await peer.hears_nothing()


@pytest.mark.parametrize("ending", ["hang", "close"])
async def test_a_request_is_cut(proxy, connect, ending):
    proxy.requests.cut = Cut(1, ending)
    peer = await connect()
    assert await peer.ask(request=b"xx") == REPLY
    assert (await peer.reader.read() == b"") if ending == "close" else await peer.hears_nothing()


async def test_a_reply_is_lost_once(proxy, connect):
    proxy.lose_reply_to = b"x"
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await (await connect()).ask()
    assert proxy.replies_lost == 1
    assert await (await connect()).ask() == REPLY


async def test_after_a_lost_reply_the_connection_hangs(proxy, connect):
    proxy.lose_reply_to, proxy.lost_reply_ending = b"x", "hang"
    peer = await connect()
    peer.writer.write(b"x")
    assert await peer.hears_nothing()
    assert proxy.replies_lost == 1


async def test_a_connection_is_reset_on_the_next_request(proxy, connect):
    peer = await connect()
    await peer.ask()
    proxy.reset_at = b"x"
    with pytest.raises(ConnectionResetError):
        await peer.ask()
    assert await (await connect()).ask() == REPLY


async def test_connections_are_reset_at_once(proxy, connect):
    peer = await connect()
    await peer.ask()
    proxy.reset_connections()
    with pytest.raises(ConnectionResetError):
        await peer.reader.read(1)


async def test_half_open_connections_are_dead_and_new_ones_are_not(proxy, connect):
    peer = await connect()
    await peer.ask()
    proxy.forget_connections()
    peer.writer.write(b"xq")
    assert await peer.hears_nothing()
    assert await (await connect()).ask() == REPLY


async def test_a_door_that_is_closed_rejects(proxy, connect):
    proxy.door = "closed"
    with pytest.raises(ConnectionRefusedError):
        await connect()
    proxy.door = "open"
    assert await (await connect()).ask() == REPLY


async def test_new_connections_are_reset(proxy, connect):
    proxy.door = "reset"
    with pytest.raises(ConnectionResetError):
        await (await connect()).ask()


async def test_new_connections_wait_in_the_backlog(proxy, connect):
    proxy.door = "backlog"
    peer = await connect()
    peer.writer.write(b"x")
    assert await peer.hears_nothing()
    assert proxy.connections == 0
    proxy.door = "open"
    assert await peer.reader.readexactly(10) == REPLY
