"""The dependency that asks who is calling."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from fastapi import HTTPException, Security
from fastapi.openapi.models import HTTPBase
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from dpop_asgi.asgi.asking import Authenticate
from dpop_asgi.asgi.gate import ask, readers
from dpop_asgi.asgi.interface import Scope
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.fastapi.documented import RESPONSES
from dpop_asgi.fastapi.needs import Asking, needs_of

_DESCRIPTION = (
    "An access token that is bound to a key, and a proof that this request comes from the holder of the key (RFC 9449)"
)


class DPoP(Asking):
    """Asks for a caller with `Security(DPoP(), scopes=[...])` or `Depends(DPoP())`.

    On HTTP and WebSocket routes, routers and apps. However many dependencies ask, the request is verified once, and one
    response names everything that the route needs. Two with the same options are equal: `app.dependency_overrides`.

    Args:
        acr_values: see `Requirement`.
        max_age: see `Requirement`.
        bearer: see `Requirement`.
        auto_error: `False` returns `None` if no usable credentials were sent. Others are still rejected.
        scheme_name: the name of the security scheme in OpenAPI.
        description: what OpenAPI says about it.

    Attributes:
        responses: describes the rejections, for `FastAPI(responses=DPoP.responses)`, a router or a route.
        model: the security scheme in OpenAPI.
        scheme_name: see above.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    responses: ClassVar[dict[int | str, dict[str, Any]]] = RESPONSES

    def __init__(
        self,
        *,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,
        auto_error: bool = True,
        scheme_name: str = "DPoP",
        description: str = _DESCRIPTION,
    ) -> None:
        needed = Requirement((), acr_values, max_age, bearer)
        self.acr_values: tuple[str, ...] = needed.acr_values
        self.max_age: int | None = max_age
        self.bearer: bool = bearer
        self.auto_error: bool = auto_error
        self.scheme_name: str = scheme_name
        self.model: HTTPBase = HTTPBase(scheme="DPoP", description=description)
        self._options = (needed, auto_error, scheme_name, description)
        self._hash = hash(self._options)  # FastAPI looks for it in dictionaries several times per request

    def __eq__(self, other: object) -> bool:
        """Whether the options are the same."""
        return other is self or (type(other) is type(self) and other._options == self._options)

    def __hash__(self) -> int:
        """Of the options."""
        return self._hash

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> Caller | None:
        """The caller; `None` only without `auto_error`.

        Raises:
            HTTPException: If the request is rejected. The response is the middleware's, whatever becomes of it.
            RuntimeError: If there is no `DPoPMiddleware` around the app.
        """
        scope, needed, optional = connection.scope, self.needed(security_scopes.scopes), not self.auto_error
        route = needs_of(scope)
        if route is not None:
            needed = route.needed if needed in route.parts else route.needed & needed
            optional = optional and route.optional
        return await ask(scope, needed, kind=HTTPException, optional=optional)


DPoPCaller = Annotated[Caller, Security(DPoP())]


authenticate: Authenticate = Authenticate(HTTPException)


async def _ask_before_the_body(scope: Scope) -> None:
    """FastAPI reads the body before it runs dependencies: anyone could upload, and a slow upload outlive its nonce."""
    try:
        route = needs_of(scope)
    except ValueError:
        return  # the dependency will raise it, which is an error of the app
    if route is not None:
        await ask(scope, route.needed, kind=HTTPException, optional=route.optional)


readers.append(_ask_before_the_body)
