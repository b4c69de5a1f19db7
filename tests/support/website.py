"""Servers on loopback that say what a test tells them to, and remember what was asked: websites, introspection."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from dpop_asgi.testing import Issuer
from tests.support.serving import Served

# Of introspection.
PATH = "/introspect"


@dataclass
class Page:
    """One answer. `pause` is waited before it; an `endless` one goes on with a byte at a time."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    endless: bool = False

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class Website(Served):
    """`pages` by path; what is not there is a 404. `requests` are the paths asked for, `fields` their headers.

    Attributes:
        gate: while it is closed, nobody is answered.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[str] = []
        self.fields: list[dict[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        tls = {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]} if certificate else {}
        super().__init__(self._serve, log_level="critical", **tls)

    def clear(self) -> None:
        self.pages.clear()
        self.requests.clear()
        self.fields.clear()
        self.gate.set()

    def publish(self, issuer: Issuer, *, metadata: str | None = "/.well-known/oauth-authorization-server") -> None:
        """The metadata and the key set of `issuer`, as they are now."""
        path = issuer.url.removeprefix(self.url).rstrip("/")
        self.pages[f"{path}/jwks"] = Page(issuer.jwks)
        if metadata is not None:
            self.pages[metadata] = Page({"issuer": issuer.url, "jwks_uri": f"{self.url}{path}/jwks"})

    def replace_keys(self, issuer: Issuer) -> None:
        """The old key is withdrawn."""
        issuer.rotate(keep_old=False)
        self.publish(issuer)

    async def _page(self, scope: Any, _: Any) -> Page:
        return self.pages.get(scope["path"], Page("not here", 404))

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests.append(scope["path"])
        self.fields.append({name.decode(): value.decode() for name, value in scope["headers"]})
        page = await self._page(scope, receive)
        await self._gate_is_open()
        await asyncio.sleep(page.pause)
        headers = [(name.encode(), value.encode()) for name, value in page.headers.items()]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        while page.endless and not self._server.should_exit:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": page.body})

    async def _gate_is_open(self) -> None:
        while not self.gate.is_set() and not self._server.should_exit:  # noqa: ASYNC110 - another thread opens it
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Question:
    """One call: its header fields, and the members of its form."""

    fields: dict[str, str]
    form: dict[str, str]


class IntrospectionServer(Website):
    """`says` by token, any other is inactive. A page at PATH is the answer to all of them.

    Attributes:
        asked: the calls, in order.
        under_way: how many calls wait for an answer, and `most` how many did at the same time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        super().clear()
        self.says: dict[str, Any] = {}
        self.asked: list[Question] = []
        self.connections: set[Any] = set()
        self.under_way = self.most = 0

    @property
    def endpoint(self) -> str:
        return self.url + PATH

    @property
    def tokens(self) -> list[str]:
        """What was asked about."""
        return [question.form["token"] for question in self.asked]

    async def _page(self, scope: Any, receive: Any) -> Page:
        if scope["path"] != PATH or scope["method"] != "POST":
            return await super()._page(scope, receive)
        question = await self._note(scope, receive)
        said = self.says.get(question.form["token"], {"active": False})
        return self.pages.get(PATH, Page(said))

    async def _note(self, scope: Any, receive: Any) -> Question:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        question = Question(fields, dict(parse_qsl(body.decode(), keep_blank_values=True)))
        self.connections.add(scope["client"])
        self.asked.append(question)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self._gate_is_open()
        self.under_way -= 1
        return question
