"""WebSocket handshakes and streams over real sockets: verified once, when they are opened."""

from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.conformance.judge import assert_answer
from tests.support.wire import PATIENCE, Connection, Response, request_bytes


@pytest.fixture
def ready(ready):
    ready.path = "/ws"
    return ready


@contextmanager
def opened(peer, fields):
    address = f"ws://{peer.host}/ws"
    with connect(address, additional_headers=fields, open_timeout=PATIENCE, proxy=None) as websocket:
        response = websocket.response
        peer.take(Response(response.status_code, tuple(response.headers.raw_items())))
        yield websocket


def denied(peer, fields):
    """The HTTP answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as failure, opened(peer, fields):
        pass
    response = failure.value.response
    answer = Response(response.status_code, tuple(response.headers.raw_items()), response.body)
    peer.take(answer, [str(value).encode() for _, value in fields])
    return answer


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_handshake_with_a_proof_is_accepted(ready, scheme):
    fields = ready.fields(uri=f"{scheme}://{ready.host}/ws")
    with opened(ready, fields) as websocket:
        for text in ("hello", "again"):
            websocket.send(text)
            assert websocket.recv(PATIENCE) == text


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(lambda _: [], "CHL", id="nothing"),
        pytest.param(lambda peer: peer.fields()[:1], "IDP", id="no proof"),
        pytest.param(lambda peer: peer.fields(uri=f"wss://{peer.host}/ws"), "IDP", id="TLS, which it has not"),
        pytest.param(lambda peer: peer.fields(token="INVALID"), "ITK", id="an invalid token"),
        pytest.param(lambda peer: [peer.fields()[0], *peer.fields()], "IRQ", id="two tokens"),
    ],
)
def test_a_handshake_without_is_denied_like_a_request(ready, make, code):
    answer = denied(ready, make(ready))
    assert_answer(answer, code)
    assert bool(answer.all("DPoP-Nonce")) == (ready.nonces and answer.status == 401)


@pytest.mark.requirement("R-4.3-16", "R-9-02")
def test_a_denied_handshake_brings_the_nonce_for_the_next(http, make_peer):
    peer = make_peer(http, 60)
    peer.path = "/ws"
    answer = denied(peer, peer.fields())
    assert_answer(answer, "UDN")
    with opened(peer, peer.fields(nonce=answer.one("DPoP-Nonce"))) as websocket:
        websocket.send("hello")
        assert websocket.recv(PATIENCE) == "hello"


@pytest.mark.requirement("R-11.1-04")
def test_a_proof_opens_one_websocket(ready):
    fields = ready.fields()
    with opened(ready, fields):
        assert_answer(denied(ready, fields), "IDP")
    assert_answer(denied(ready, fields), "IDP")


def test_a_plain_request_to_a_websocket_is_answered_by_the_app(ready):
    assert ready.send(ready.fields()).status == 404
    assert_answer(ready.send([]), "CHL")


def test_a_stream_stays_open_after_its_proof_was_checked(ready):
    ready.path = "/stream"
    with Connection(ready.server.port) as connection:
        connection.send(request_bytes("GET", "/stream", [("Host", ready.host), *ready.fields()]))
        answer = connection.begin()
        assert answer.status == 200
        assert answer.getheader("Content-Type", "").startswith("text/event-stream")
        first = answer.read(len(b"data: 0\n\n"))
        # The stream is under way: other requests are served meanwhile, and it goes on after them.
        assert ready.send([], target="/public").status == 200
        assert first + answer.read() == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
