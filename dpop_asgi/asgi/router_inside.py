"""What is in an app: apps, routers and routes, as far as Starlette's attributes show them."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from inspect import isroutine

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles


class RouterInside:
    """What is known of the routers that requests to an app will reach.

    Looked up when it is first needed: mounts may be added until then.
    """

    def __init__(self, app: object) -> None:
        self._app = app

    @cached_property
    def root_paths(self) -> frozenset[str]:
        """What apps inside set themselves, as `FastAPI(root_path=…)` does. Quart's `root_path` is a directory."""
        apps = (part for part in parts_of(self._app) if isinstance(part, Starlette))
        return frozenset(getattr(app, "root_path", "") for app in apps) - {""}

    @cached_property
    def is_starlettes(self) -> bool:
        """Whether all of them are Starlette's, and match the decoded path without the `root_path` of the scope.

        How others match it isn't known.
        """
        routed = parts_of(self._app, lambda part: _routed_by(part) or [])
        return not self.root_paths and all(_routed_by(part) is not None for part in routed)

    @cached_property
    def mounted_at(self) -> tuple[str, ...]:
        """The prefixes of mounts, up to the first parameter."""
        paths = (part.path.partition("{")[0] for part in parts_of(self._app) if isinstance(part, Mount))
        return tuple(path for path in paths if path)


UNKNOWN_ROUTER = RouterInside(None)


def inside(part: object) -> list[object]:
    """What is directly in `part`."""
    own = _attributes(part)
    directly = [own[name] for name in ("app", "router", "original_router", "middleware_stack") if name in own]
    routes = own.get("routes")
    return [*directly, *routes] if isinstance(routes, list) else directly


def parts_of(app: object, within: Callable[[object], list[object]] = inside) -> Iterator[object]:
    """`app` and all that is in it: behind middleware, in mounts, and in included routers. Each comes once."""
    found, seen = [app], set[int]()
    while found:
        part = found.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            found += within(part)


def _attributes(part: object) -> dict[str, object]:
    # Those of the instance only: `__getattr__` could make up others without end.
    own = dict(getattr(part, "__dict__", {}))
    if "app" in getattr(type(part), "__slots__", ()):
        own["app"] = getattr(part, "app", None)
    return own


def _routed_by(part: object) -> list[object] | None:
    """What `part` may pass a request on to. `None` if that, or how it matches paths, isn't known."""
    if isinstance(part, StaticFiles):
        return []
    if isinstance(part, Starlette):
        return [part.router]
    if isinstance(part, Router):
        is_own = getattr(part.default, "__self__", None) is part
        return list(part.routes) if is_own else None
    if isinstance(part, Route | WebSocketRoute):
        return [] if _is_endpoint(part.endpoint) else None
    own = _attributes(part)
    name = "app" if isinstance(part, Mount | Host) or not isinstance(part, BaseRoute) else "original_router"
    return [own[name]] if name in own else None


def _is_endpoint(endpoint: object) -> bool:
    """Whether it responds by itself. Starlette takes anything else for an ASGI app, which may have a router."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    return isroutine(endpoint) or isinstance(endpoint, type | Response)
