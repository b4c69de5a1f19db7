"""`authenticate`, which routes call, for the frameworks that raise an exception of their own."""

from collections.abc import Iterable
from typing import Literal, overload

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from dpop_asgi.asgi.gate import ask
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller


class Authenticate:
    """Who is calling, and is that enough? Ask as often as you like: the proof is used once.

    Args:
        kind: the framework's exception for a rejected request.
    """

    def __init__(self, kind: type[HTTPException]) -> None:
        self._kind = kind

    @overload
    async def __call__(
        self,
        connection: HTTPConnection,
        scopes: str | Iterable[str] = (),
        *,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,
        optional: Literal[False] = False,
    ) -> Caller: ...

    @overload
    async def __call__(
        self,
        connection: HTTPConnection,
        scopes: str | Iterable[str] = (),
        *,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,
        optional: bool,
    ) -> Caller | None: ...

    async def __call__(
        self,
        connection: HTTPConnection,
        scopes: str | Iterable[str] = (),
        *,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,
        optional: bool = False,
    ) -> Caller | None:
        """The caller; `None` only if it is `optional`.

        Args:
            connection: the request or the WebSocket. Ask before it is accepted, and before the body is read.
            scopes: see `Requirement`.
            acr_values: see `Requirement`.
            max_age: see `Requirement`.
            bearer: see `Requirement`.
            optional: whether `None` is returned if no usable credentials were sent. Others are still rejected.

        Raises:
            HTTPException: If the request is rejected. The response is the middleware's, whatever becomes of the
                exception.
            ValueError: If an option is invalid; the message names it.
            RuntimeError: If there is no `DPoPMiddleware` around the app.
        """
        needed = Requirement(scopes, acr_values, max_age, bearer)
        return await ask(connection.scope, needed, kind=self._kind, optional=optional)
