"""A protected app in process: requests as ASGI servers hand them over, answers with every header line."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dpop_asgi import Authenticator, Decision, DPoPMiddleware, JWTVerifier, MemoryStore, Reason
from dpop_asgi.testing import Client, Issuer, ManualClock

PUBLIC_URL = "https://rs.example"

Fields = Iterable[tuple[str, str]]
_NEWEST = object()


@dataclass(frozen=True)
class Answer:
    """What was sent: status, header lines in their order, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for known, value in self.headers if known.decode().lower() == name]

    def one(self, name: str) -> str:
        [value] = self.all(name)
        return value


def fields(pairs: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def http_scope(method: str = "GET", path: str = "/r", headers: Fields = (), **changes: Any) -> dict[str, Any]:
    """A scope as uvicorn makes it of `path` as sent, or of `raw_path` and a decoded `path`; `changes` are members."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path if "raw_path" in changes else unquote(path.partition("?")[0]),
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "root_path": "",
        "headers": fields(headers),
        "client": ("10.0.0.9", 50000),
        "server": ("10.0.0.1", 8000),
        **changes,
    }


async def untouched() -> Any:
    """A `receive` for requests whose body is nobody's business."""
    raise AssertionError("receive was called")


def no_body() -> Any:
    """A `receive` for apps that read the body: it is empty, and the client stays."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    return receive


async def call(app: Any, scope: dict[str, Any], receive: Any = untouched) -> Answer:
    """One request; what is sent must be one whole answer."""
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return whole_answer(messages)


def whole_answer(messages: list[dict[str, Any]]) -> Answer:
    start, *bodies = messages
    assert start["type"] == "http.response.start"
    assert [message["type"] for message in bodies] == ["http.response.body"] * len(bodies)
    assert [bool(message.get("more_body")) for message in bodies] == [True] * (len(bodies) - 1) + [False]
    return Answer(start["status"], tuple(start["headers"]), b"".join(message.get("body", b"") for message in bodies))


DENIAL: dict[str, Any] = {"websocket.http.response": {}}


def handshake(
    headers: Fields = (), *, extensions: Any = DENIAL, path: str = "/ws", scheme: str = "wss", **changes: Any
) -> dict[str, Any]:
    """A scope of a WebSocket handshake."""
    scope = http_scope("GET", path, [("host", "rs.example"), *headers], scheme=scheme, **changes)
    del scope["method"]
    return {**scope, "type": "websocket", "subprotocols": [], "extensions": extensions}


async def connect(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent to a client that connects and says hello."""
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def denial(sent: list[dict[str, Any]]) -> Answer:
    """The response to a rejected handshake."""
    start, body = sent
    assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
    return Answer(start["status"], tuple(start["headers"]), body["body"])


class App:
    """An ASGI app that answers the same to everything, and keeps the scopes that reached it."""

    def __init__(self, status: int = 200, headers: Fields = (), chunks: tuple[bytes, ...] = (b"ok",)) -> None:
        self.scopes: list[Any] = []
        self._status = status
        self._headers = fields(headers)
        self._chunks = chunks

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        for number, chunk in enumerate(self._chunks, 1):
            more = number < len(self._chunks)
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


class Api:
    """`inner` behind the middleware, an issuer, a client, a clock. `options` are the middleware's or the decision's."""

    def __init__(self, inner: Any, issuer: Issuer, client: Client, clock: ManualClock, **options: Any) -> None:
        decision = {name: options.pop(name) for name in _DECISION if name in options}
        verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
        usual = {"verify_token": verifier, "store": MemoryStore(clock=clock), "clock": clock}
        self.client = client
        self.issuer = issuer
        self.token = issuer.access_token(client)
        self.authenticator = Authenticator(**{**usual, **decision})
        self.inner = inner
        self.wrap(inner, **{"public_url": PUBLIC_URL, **options})

    def wrap(self, app: Any, **options: Any) -> Any:
        """Another app behind a middleware with the same authenticator; from now on it is the one that is asked."""
        self.app = DPoPMiddleware(app, authenticator=self.authenticator, **options)
        return self.app

    async def fields(
        self,
        method: str = "GET",
        path: str = "/r",
        token: str | None = None,
        *,
        client: Client | None = None,
        nonce: Any = _NEWEST,
        **changes: Any,
    ) -> dict[str, str]:
        """The fields of a correct request with the newest nonce, but for what is asked otherwise."""
        if nonce is _NEWEST:
            nonce = await self.authenticator.challenge_nonce()
        uri = path if "://" in path else PUBLIC_URL + path
        return (client or self.client).headers(method, uri, token or self.token, nonce=nonce, **changes)

    async def request(
        self,
        method: str = "GET",
        path: str = "/r",
        *,
        host: str = "rs.example",
        claimed: str | None = None,
        also: Fields = (),
        without: Iterable[str] = (),
        scope: dict[str, Any] | None = None,
        receive: Callable[[], Any] = untouched,
        **changes: Any,
    ) -> Answer:
        """Send a correct request, but for what is asked otherwise.

        Args:
            method: of the request and in the proof.
            path: of the request.
            host: its Host.
            claimed: another path or URI for the proof to name.
            also: more fields.
            without: names of fields that are left out.
            scope: members of the scope.
            receive: for the app.
            changes: as for `fields`.
        """
        sent = await self.fields(method, path if claimed is None else claimed, **changes)
        headers = [("host", host), *((name, value) for name, value in sent.items() if name not in without)]
        return await call(self.app, http_scope(method, path, [*headers, *also], **(scope or {})), receive)

    async def anonymous(
        self, method: str = "GET", path: str = "/r", also: Fields = (), receive: Any = untouched, **changes: Any
    ) -> Answer:
        """Send a request without credentials."""
        return await call(self.app, http_scope(method, path, [("host", "rs.example"), *also], **changes), receive)


_DECISION = ("verify_token", "store", "proof_policy", "nonces", "mode", "namespace", "on_store_failure", "observer")
_DECISION += ("also_check", "allow_bearer")


class WatchedApi(Api):
    """An `Api` that keeps each decision. `reason` and `passes` send a request, correct but for what is asked."""

    def __init__(self, *where: Any, inner: Any = None, **options: Any) -> None:
        self.decisions: list[Decision] = []
        super().__init__(inner or App(), *where, **{"observer": self.decisions.append, **options})

    async def ask(self, *request: Any, **changes: Any) -> Answer:
        """As `request` does, and of its decisions alone."""
        self.decisions.clear()
        return await self.request(*request, **changes)

    async def reason(self, *request: Any, **changes: Any) -> Reason:
        """Why the request is refused; a test fails when it is anything but refused, in the decision or on the wire."""
        reached = len(self.inner.scopes)
        answer = await self.ask(*request, **changes)
        reason = self.decisions[0].reason
        assert reason is not None, self.decisions
        assert answer.status in {400, 401}
        assert len(self.inner.scopes) == reached, "a refused request reached the app"
        return reason

    async def passes(self, *request: Any, **changes: Any) -> bool:
        """Whether the request reaches the app."""
        reached = len(self.inner.scopes)
        answer = await self.ask(*request, **changes)
        assert (answer.status == 200) == (len(self.inner.scopes) > reached)
        return answer.status == 200
