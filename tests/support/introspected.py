"""An introspection endpoint on loopback that says what a test tells it to, and remembers what it was asked."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from tests.support.website import Page, Website

PATH = "/introspect"


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
        gate: while it is closed, nobody is answered.
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
        self.gate = threading.Event()
        self.gate.set()

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
        while not self.gate.is_set() and not self._server.should_exit:  # noqa: ASYNC110 - another thread opens it
            await asyncio.sleep(0.005)
        self.under_way -= 1
        return question
