"""The proxy that tests break connections with breaks them in the way that it says.

That they are broken at all, or slow, whoever uses the proxy would notice.
"""

import asyncio
import contextlib

import pytest

from tests.support.fault_proxy import Cut, FaultProxy

REPLY = b"0123456789"
CLOSED, SILENCE = {"closed"}, {"silence"}
# It may overtake what was sent before it.
RESET = {"reset", "closed"}


async def _echo(reader, writer):
    """Answers every byte with ten, until the client has gone or sends a q."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(1) not in {b"", b"q"}:
            writer.write(REPLY)
    writer.close()


@pytest.fixture
async def proxy():
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


@pytest.fixture
async def ask(proxy):
    """Sends bytes on a connection, a new one unless one is given.

    Returns what was heard and how that ended; silence is waited for in earnest only if it is not what `ends` says.
    """
    writers = []

    async def ask(sent=b"x", heard=REPLY, ends=SILENCE, on=None):
        got = b""
        try:
            reader, writer = on or await asyncio.open_connection("127.0.0.1", proxy.port)
            writers.append(writer)
            writer.write(sent)
            while True:
                async with asyncio.timeout(0.1 if ends == SILENCE and got == heard else 60.0):
                    if not (more := await reader.read(1)):
                        return got, "closed"
                got += more
        except ConnectionResetError:
            return got, "reset"
        except TimeoutError:
            return got, "silence"

    yield ask
    for writer in writers:
        writer.transport.abort()


def _loses_reply(ending):
    def lose(proxy):
        proxy.lose_reply_to, proxy.lost_reply_ending = b"x", ending

    return lose


FAULTS = {
    "reply-reset": (lambda proxy: setattr(proxy.replies, "cut", Cut(3)), b"x", REPLY[:3], RESET),
    "reply-reset-at-its-end": (lambda proxy: setattr(proxy.replies, "cut", Cut(10)), b"xx", REPLY, RESET),
    "reply-closed": (lambda proxy: setattr(proxy.replies, "cut", Cut(3, "close")), b"x", REPLY[:3], CLOSED),
    "reply-hangs": (lambda proxy: setattr(proxy.replies, "cut", Cut(3, "hang")), b"x", REPLY[:3], SILENCE),
    "request-closed": (lambda proxy: setattr(proxy.requests, "cut", Cut(1, "close")), b"xx", REPLY, CLOSED),
    "request-hangs": (lambda proxy: setattr(proxy.requests, "cut", Cut(1, "hang")), b"xx", REPLY, SILENCE),
    "reply-lost-and-reset": (_loses_reply("reset"), b"x", b"", RESET),
    "reply-lost-and-hangs": (_loses_reply("hang"), b"x", b"", SILENCE),
    "the-end-swallowed": (lambda proxy: setattr(proxy.replies, "silent", True), b"q", b"", SILENCE),
    "black-hole": (lambda proxy: setattr(proxy, "silent", True), b"xq", b"", SILENCE),
    "half-open": (lambda proxy: proxy.forget_connections(), b"xq", b"", SILENCE),
    "reset-at-the-next-request": (lambda proxy: setattr(proxy, "reset_at", b"x"), b"x", b"", {"reset"}),
    "reset-at-once": (lambda proxy: proxy.reset_connections(), b"x", b"", {"reset"}),
}


@pytest.mark.parametrize(("fault", "sent", "heard", "ends"), FAULTS.values(), ids=FAULTS)
async def test_a_connection_that_stands_is_broken(proxy, ask, fault, sent, heard, ends, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    assert await reader.readexactly(10) == REPLY
    fault(proxy)
    got, ended = await ask(sent, heard, ends, on=(reader, writer))
    assert ended in ends
    assert heard.startswith(got) if ends is RESET else got == heard
    assert proxy.replies_lost == ("lost" in request.node.callspec.id)
    proxy.heal()
    assert await ask(b"xq", ends=CLOSED) == (REPLY, "closed")


async def test_a_new_connection_is_refused_reset_left_in_the_backlog_or_swallowed(proxy, ask):
    proxy.door = "closed"
    with pytest.raises(ConnectionRefusedError):
        await ask()
    proxy.door = "reset"
    assert await ask(ends=RESET) == (b"", "reset")
    proxy.door = "backlog"
    before, peer = proxy.connections, await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await ask(heard=b"", on=peer) == (b"", "silence")
    assert proxy.connections == before
    proxy.door = "open"
    assert await ask(b"", on=peer) == (REPLY, "silence")
    proxy.silent = True
    assert await ask(b"xq", heard=b"") == (b"", "silence")
