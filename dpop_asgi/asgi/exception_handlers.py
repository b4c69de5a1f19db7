"""Rejections raised in Starlette and FastAPI apps are handled exceptions there: no error, no traceback, no 500.

A handler inside is called before anything that catches every exception: the app's handler for `Exception`, a
catch-all middleware, what reports errors.
"""

from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response

from dpop_asgi.asgi.rejections import has_other_errors, rejection_in
from dpop_asgi.asgi.responses import RESPONDER_KEY, Responder, WebSocketResponder
from dpop_asgi.errors import DPoPError

# An `asyncio.TaskGroup` raises a group, also of one.
_HANDLED: tuple[type[Exception], ...] = (DPoPError, ExceptionGroup)


async def rejection_handler(connection: HTTPConnection, error: Exception) -> Response | None:
    """Exception handler for `DPoPError` and `ExceptionGroup` that responds as the `DPoPMiddleware` around does.

    The response passes through the middleware of the app, which may add to it (CORS).

    Raises:
        Exception: `error` itself, if there can be no response to it: no `DPoPMiddleware` is around, the response has
            begun, there is no rejection in the group; and where other errors are in it, which then have to be reported.
    """
    responder = connection.scope.get(RESPONDER_KEY)
    rejection = rejection_in(error)
    if rejection is None or not isinstance(responder, Responder) or responder.started:
        raise error
    rendered = await responder.response_to(rejection)
    # Nobody may respond otherwise to the errors beside it: an app's handler for `Exception` may well say 200.
    is_mixed = has_other_errors(error)
    if is_mixed or isinstance(responder, WebSocketResponder):
        await responder.replace(rendered)
        if is_mixed:
            raise error
        return None
    response = Response(responder.body_of(rendered), rendered.status)
    response.raw_headers = list(rendered.headers)
    return response


def register_handlers(app: object, owner: object) -> None:
    """Register `rejection_handler` in the Starlette apps at and below `app`, except where they have one of their own.

    Args:
        app: any ASGI app; middleware around and mounts below Starlette apps are looked through.
        owner: the Starlette app whose middleware `app` is, if it is that.
    """
    for part, its_owner in _exception_handling(app, owner):
        own = its_owner.exception_handlers if isinstance(its_owner, Starlette) else {}
        for kind in _HANDLED:
            if kind not in own:
                part.add_exception_handler(kind, rejection_handler)  # type: ignore[arg-type]  # for either connection


def _exception_handling(app: object, owner: object) -> Iterator[tuple[Starlette | ExceptionMiddleware, object]]:
    """What takes handlers: an app that has not started, or the middleware that one that has started made of them."""
    found, seen = [(app, owner)], set[int]()
    while found:
        part, owner = found.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Starlette):
            owner = part
            if part.middleware_stack is None:
                yield part, owner
        elif isinstance(part, ExceptionMiddleware):
            yield part, owner
        found += [(inner, owner) for inner in _inside(part)]


def _inside(part: object) -> list[object]:
    # Its own attributes only: others may be made up on access, without end.
    own = getattr(part, "__dict__", {})
    inside = [own[name] for name in ("app", "router", "middleware_stack") if name in own]
    routes = own.get("routes")
    return [*inside, *routes] if isinstance(routes, list) else inside
