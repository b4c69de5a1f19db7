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


@pytest.fixture
async def ask(proxy):
    """Sends a request on a connection, a new one unless one is given, and tells what was heard and how it ended.

    After so many bytes as `silent_after`, nothing is waited for in earnest.
    """
    writers = []

    async def ask(request=b"x", size=10, on=None, silent_after=None):
        heard = b""
        try:
            reader, writer = on or await asyncio.open_connection("127.0.0.1", proxy.port)
            writers.append(writer)
            writer.write(request)
            while len(heard) < size:
                async with asyncio.timeout(0.1 if len(heard) == silent_after else 60.0):
                    if not (more := await reader.read(1)):
                        return heard, "closed"
                heard += more
        except ConnectionResetError:
            return heard, "reset"
        except TimeoutError:
            return heard, "silence"
        return heard, (reader, writer)

    yield ask
    for writer in writers:
        writer.transport.abort()


async def test_without_faults_bytes_pass(proxy, ask):
    heard, peer = await ask()
    assert (heard, (await ask(on=peer))[0]) == (REPLY, REPLY)
    assert proxy.connections == 1
    assert await ask(b"xq", 11) == (REPLY, "closed")


@pytest.mark.parametrize("way", ["requests", "replies"])
async def test_latency(proxy, ask, way):
    getattr(proxy, way).delay = 0.1
    start = time.monotonic()
    assert (await ask())[0] == REPLY
    assert time.monotonic() - start >= 0.1


async def test_a_slow_trickle(proxy):
    proxy.replies.pace = 0.02
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    assert await reader.read(100) == b"0"
    assert await reader.readexactly(9) == REPLY[1:]
    writer.transport.abort()


@pytest.mark.parametrize(
    ("cut", "ending"),
    [
        (Cut(0), "reset"),
        (Cut(3), "reset"),
        (Cut(10), "reset"),
        (Cut(3, "close"), "closed"),
        (Cut(3, "hang"), "silence"),
    ],
    ids=str,
)
async def test_a_reply_is_cut(proxy, ask, cut, ending):
    proxy.replies.cut = cut
    heard, how = await ask(size=11, silent_after=cut.after if ending == "silence" else None)
    if ending == "reset":  # it may overtake what was sent before it
        assert how in {"reset", "closed"}
        assert REPLY[: cut.after].startswith(heard)
    else:
        assert (heard, how) == (REPLY[: cut.after], ending)
    proxy.heal()
    assert (await ask())[0] == REPLY


async def test_a_black_hole_does_not_tell_that_the_server_has_gone(proxy, ask):
    proxy.replies.silent = True
    assert await ask(b"q", 11, silent_after=0) == (b"", "silence")


@pytest.mark.parametrize(("ending", "heard"), [("hang", "silence"), ("close", "closed")])
async def test_a_request_is_cut(proxy, ask, ending, heard):
    proxy.requests.cut = Cut(1, ending)
    assert await ask(b"xx", 20, silent_after=10 if heard == "silence" else None) == (REPLY, heard)


@pytest.mark.parametrize(("ending", "heard"), [("hang", {"silence"}), ("reset", {"reset", "closed"})])
async def test_a_reply_is_lost_once(proxy, ask, ending, heard):
    proxy.lose_reply_to, proxy.lost_reply_ending = b"x", ending
    assert (await ask(size=11, silent_after=0 if ending == "hang" else None))[1] in heard
    assert proxy.replies_lost == 1
    assert (await ask())[0] == REPLY


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        pytest.param(lambda proxy: setattr(proxy, "reset_at", b"x"), "reset", id="at-the-next-request"),
        pytest.param(lambda proxy: proxy.reset_connections(), "reset", id="at-once"),
        pytest.param(lambda proxy: proxy.forget_connections(), "silence", id="half-open"),
        pytest.param(lambda proxy: setattr(proxy, "silent", True), "silence", id="a-black-hole"),
    ],
)
async def test_connections_are_broken(proxy, ask, fault, heard):
    _, peer = await ask()
    fault(proxy)
    silent_after = 0 if heard == "silence" else None
    assert await ask(b"xq", 11, on=peer, silent_after=silent_after) == (b"", heard)
    if proxy.silent:
        assert await ask(b"xq", 11, silent_after=0) == (b"", heard), "it takes new ones, too"
    proxy.silent = False
    assert (await ask())[0] == REPLY


async def test_a_door_that_is_closed_rejects(proxy, ask):
    proxy.door = "closed"
    with pytest.raises(ConnectionRefusedError):
        await ask()
    proxy.door = "open"
    assert (await ask())[0] == REPLY


async def test_new_connections_are_reset_or_wait_in_the_backlog(proxy, ask):
    proxy.door = "reset"
    assert (await ask())[1] == "reset"
    proxy.door = "backlog"
    before, peer = proxy.connections, await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await ask(size=11, on=peer, silent_after=0) == (b"", "silence")
    assert proxy.connections == before
    proxy.door = "open"
    assert (await ask(b"", on=peer))[0] == REPLY
