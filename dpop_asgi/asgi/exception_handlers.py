"""Makes rejections raised in Starlette and FastAPI apps handled exceptions: no error, no traceback, no 500.

The handlers are registered inside the app, so they run before anything that catches every exception: the app's own
handler for `Exception`, catch-all middleware, error reporting.
"""

from collections.abc import Collection, Iterator

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response

from dpop_asgi.asgi.gate import GATE_KEY
from dpop_asgi.asgi.rejections import has_other_errors, rejection_in
from dpop_asgi.asgi.responses import Responder, WebSocketResponder
from dpop_asgi.asgi.router_inside import inside
from dpop_asgi.errors import DPoPError

# An `asyncio.TaskGroup` raises a group even for a single error.
_HANDLED: tuple[type[Exception], ...] = (DPoPError, ExceptionGroup)


async def rejection_handler(connection: HTTPConnection, error: Exception) -> Response | None:
    """Exception handler for `DPoPError` and `ExceptionGroup` that responds like the surrounding `DPoPMiddleware`.

    The response passes through the app's own middleware, which may add headers to it (CORS).

    Raises:
        Exception: `error` itself, if it can't be handled here: there is no `DPoPMiddleware` around the app, the
            response has started, or the group contains no rejection, or other errors that have to be reported.
    """
    responder = connection.scope.get(GATE_KEY)
    rejection = rejection_in(error)
    if rejection is None or not isinstance(responder, Responder) or responder.started:
        raise error
    rendered = await responder.response_to(rejection)
    # Respond now, before the error is raised again: an app's handler for `Exception` might return 200.
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
    """Register `rejection_handler` in the Starlette apps at and below `app`, unless they have custom handlers.

    Args:
        app: any ASGI app. Starlette apps are found behind middleware, in mounts, and in included routers.
        owner: the Starlette app whose middleware `app` is, if any.
    """
    for part, its_owner in _exception_handling(app, owner):
        own = {*_handled_by(part), *_handled_by(its_owner)}
        for error_type in _HANDLED:
            if error_type not in own:
                part.add_exception_handler(error_type, rejection_handler)  # type: ignore[arg-type]  # HTTP or WebSocket


def _handled_by(part: object) -> Collection[object]:
    """What there are handlers for. Those of an app that has started are also in its exception middleware."""
    if isinstance(part, Starlette):
        return part.exception_handlers
    # The middleware may be used without an app. Starlette has no public name for its handlers.
    return getattr(part, "_exception_handlers", ()) if isinstance(part, ExceptionMiddleware) else ()


def _exception_handling(app: object, owner: object) -> Iterator[tuple[Starlette | ExceptionMiddleware, object]]:
    """Where handlers can be added: apps that haven't started, and the exception middleware of those that have."""
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
        found += [(inner, owner) for inner in inside(part)]
