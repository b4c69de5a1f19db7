"""Finds the middleware of an app under test."""

from collections.abc import Iterator

from dpop_asgi.asgi.interface import ASGIApp
from dpop_asgi.asgi.middleware import DPoPMiddleware
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL
from dpop_asgi.authenticator import Authenticator


def authenticators_of(app: ASGIApp) -> list[Authenticator]:
    """Those of the app, of what it is wrapped in, and of what is mounted in it.

    Raises:
        ValueError: If there is no `DPoPMiddleware`.
    """
    return list(dict.fromkeys(middleware._authenticator for middleware in _middlewares_of(app)))  # noqa: SLF001 - the test kit knows


def base_url_of(app: ASGIApp) -> str:
    """The URL that clients call: the `public_url` of the outermost middleware, or what else it accepts.

    Raises:
        ValueError: If there is no `DPoPMiddleware`, or only its own `target_uri` knows.
    """
    target_uri = _middlewares_of(app)[0]._target_uri  # noqa: SLF001 - as above
    if not isinstance(target_uri, (PublicURL, RequestURL)):
        msg = "base_url: must be given, since the app has its own target_uri"
        raise ValueError(msg)
    return target_uri.first_base


def _middlewares_of(app: ASGIApp) -> list[DPoPMiddleware]:
    found = list(_found(app, set()))
    if not found:
        msg = "app: there is no DPoPMiddleware around it or in it"
        raise ValueError(msg)
    return found


def _found(part: object, seen: set[int]) -> Iterator[DPoPMiddleware]:
    """From the outside in. What `add_middleware` names may not have been made yet."""
    if part is None or id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, DPoPMiddleware):
        yield part
    for entry in getattr(part, "user_middleware", None) or ():
        if isinstance(entry.cls, type) and issubclass(entry.cls, DPoPMiddleware):
            yield entry.cls(_nothing, *entry.args, **entry.kwargs)
    yield from _found(getattr(part, "app", None), seen)
    for route in getattr(part, "routes", None) or ():
        yield from _found(getattr(route, "app", None), seen)
        # FastAPI keeps a router that was included as it is.
        yield from _found(getattr(route, "original_router", None), seen)


async def _nothing(*_: object) -> None:
    """Stands for the app: it is never called."""
