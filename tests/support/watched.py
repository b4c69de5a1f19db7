"""A protected app in process that tells why it refused."""

from collections.abc import Collection
from typing import Any

from dpop_asgi import Reason
from dpop_asgi.core.decision import Decision
from tests.support.api import Answer, Api, App, Fields, call, http_scope


class WatchedApi(Api):
    """An `Api` that keeps each decision. `reason` and `passes` send a request, correct but for what is asked."""

    def __init__(self, *where: Any, inner: Any = None, **options: Any) -> None:
        self.decisions: list[Decision] = []
        super().__init__(inner or App(), *where, **{"observer": self.decisions.append, **options})

    async def ask(
        self,
        method: str = "GET",
        path: str = "/r",
        *,
        host: str = "rs.example",
        claimed: str | None = None,
        lacking: Collection[str] = (),
        drop: Collection[str] = (),
        also: Fields = (),
        scope: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Answer:
        """Send one request.

        Args:
            method: of the request and in the proof.
            path: of the request.
            host: its Host.
            claimed: another path or URI for the proof to name.
            lacking: names that are left out of the proof.
            drop: `Authorization` or `DPoP`, to leave such a field out.
            also: more fields.
            scope: members of the scope.
            changes: as for `Api.fields`.
        """
        self.decisions.clear()
        sent = await self.fields(method, path if claimed is None else claimed, without=lacking, **changes)
        headers = [("host", host), *((name, value) for name, value in sent.items() if name not in drop), *also]
        return await call(self.app, http_scope(method, path, headers, **(scope or {})))

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
