"""What is in an app: apps, routers and routes, as far as Starlette's attributes show them."""

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from inspect import isroutine
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

# The largest of apps have some thousand routes. Looking at all of these takes a tenth of a second, once.
_MOST_PLACES = 10_000


class _At(NamedTuple):
    """How the paths begin that lead to a part of an app.

    Attributes:
        prefix: the beginning.
        is_whole: whether it ends where a segment does. If not, a parameter or an unknown prefix follows.
    """

    prefix: str = ""
    is_whole: bool = True

    def below(self, path: object) -> "_At":
        if not isinstance(path, str):
            return _At(self.prefix, is_whole=False)
        before, brace, _ = path.partition("{")
        return _At(self.prefix + before.removesuffix("/" if not brace else ""), not brace) if self.is_whole else self

    def leads_to(self, path: str) -> bool:
        if not self.is_whole:
            return path.startswith(self.prefix)
        return path == self.prefix or path.startswith(self.prefix + "/")


_ANYWHERE = _At(is_whole=False)


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
        return frozenset(own for app in apps if isinstance(own := getattr(app, "root_path", None), str) and own)

    def is_starlettes(self, path: str) -> bool:
        """Whether only Starlette's routers match this path: decoded, and without the `root_path` of the scope.

        How others match it isn't known.
        """
        return not self.root_paths and not any(at.leads_to(path) for at in self._unknown)

    def is_mounted(self, path: str) -> bool:
        """Whether the path may lead to an app in a mount, as far as mounts are known."""
        return any(at.leads_to(path) for at in self._mounts)

    @cached_property
    def _places(self) -> list[tuple[object, _At]]:
        """All parts, and where they are. Empty if there are too many, as in an app that is mounted in itself."""
        found, places = [(self._app, _At())], dict[tuple[int, _At], tuple[object, _At]]()
        while found and len(places) < _MOST_PLACES:
            part, at = found.pop()
            if (id(part), at) not in places:
                places[id(part), at] = part, at
                found += _routed_by(part, at) or ()
        return [] if found else list(places.values())

    @cached_property
    def _unknown(self) -> set[_At]:
        # Without any router, as in a cycle of middleware, nothing is known.
        if not any(isinstance(part, Starlette | Router | StaticFiles) for part, _ in self._places):
            return {_ANYWHERE}
        return {at for part, at in self._places if _routed_by(part, at) is None}

    @cached_property
    def _mounts(self) -> set[_At]:
        # One without a prefix changes nothing.
        mounts = {at for part, at in self._places if isinstance(part, Mount | Host)} - {_At()}
        return mounts if self._places else {_ANYWHERE}


UNKNOWN_ROUTER = RouterInside(None)


def inside(part: object) -> list[object]:
    """What is directly in `part`."""
    own = _attributes(part)
    directly = [own[name] for name in ("app", "router", "original_router", "middleware_stack") if name in own]
    routes = own.get("routes")
    return [*directly, *routes] if isinstance(routes, list) else directly


def parts_of(app: object) -> Iterator[object]:
    """`app` and all that is in it: behind middleware, in mounts, and in included routers. Each comes once."""
    found, seen = [app], set[int]()
    while found:
        part = found.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            found += inside(part)


def _attributes(part: object) -> dict[str, object]:
    # Those of the instance only: `__getattr__` could make up others without end.
    own = dict(getattr(part, "__dict__", {}))
    if any("app" in getattr(base, "__slots__", ()) for base in type(part).__mro__):
        own["app"] = getattr(part, "app", None)
    return own


def _routed_by(part: object, at: _At) -> Iterable[tuple[object, _At]] | None:
    """What `part`, which is reached at `at`, may pass a request on to. `None` if how it matches paths isn't known."""
    own = _attributes(part)
    if isinstance(part, StaticFiles) or (isinstance(part, Route | WebSocketRoute) and _is_endpoint(part)):
        return ()
    if isinstance(part, Starlette | Router):
        return _routes_of(part, at)
    if isinstance(part, Mount | Host) or not isinstance(part, BaseRoute):
        return [(own["app"], at)] if "app" in own else None
    # FastAPI's included router.
    prefix = getattr(own.get("include_context"), "prefix", None)
    return [(own["original_router"], at.below(prefix))] if "original_router" in own else None


def _routes_of(app: Starlette | Router, at: _At) -> Iterable[tuple[object, _At]] | None:
    router = app.router if isinstance(app, Starlette) else app
    if all(map(_is_called_as_made, (app, router))) and getattr(router.default, "__self__", None) is router:
        return [(route, at.below(getattr(route, "path", ""))) for route in router.routes]
    return None


def _is_called_as_made(app: object) -> bool:
    """Whether its `__call__` is that of its framework. Where tools replace that, it still is a method of the class."""
    defines = next(base for base in type(app).__mro__ if "__call__" in vars(base))
    return defines.__module__.partition(".")[0] in {"starlette", "fastapi"}


def _is_endpoint(route: Route | WebSocketRoute) -> bool:
    """Whether it responds by itself. Starlette takes some objects for ASGI apps, which may have a router."""
    endpoint: object = route.endpoint
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    is_fastapis = type(route).__module__.partition(".")[0] == "fastapi"
    return is_fastapis or isroutine(endpoint) or isinstance(endpoint, type | Response)
