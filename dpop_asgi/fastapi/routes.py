"""Which routes of an app ask for a caller, for a test that none was left open."""

from collections.abc import Iterator
from inspect import isclass
from itertools import chain
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from dpop_asgi.asgi.gate import NEEDED
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.fastapi.needs import needs_of_dependant

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")


def unprotected_routes(app: object) -> list[str]:
    """The routes that let requests without credentials pass, such as `GET /docs` or `MOUNT /static`.

    A route is protected by `DPoP()`, by `requires`, or by `Protected` around it; one that calls `authenticate` itself
    can't be distinguished from an open one, and is listed. A middleware with `protect="everything"` is not looked at.

    Raises:
        ValueError: If a route needs what no caller can have: a scope with a space, say.
    """
    return [label for label, needed, optional in _routes(app, "") if needed is None or optional]


def scopes_of(app: object) -> list[str]:
    """All scopes that routes ask for, sorted.

    Raises:
        ValueError: As `unprotected_routes` does.
    """
    return sorted({scope for _, needed, _ in _routes(app, "") if needed is not None for scope in needed.scopes})


def _routes(app: object, prefix: str) -> Iterator[tuple[str, Requirement | None, bool]]:
    """Each route: its label, what it needs, and whether a request without credentials passes all the same."""
    routed = app
    while routed is not None and not isinstance(getattr(routed, "routes", None), list):
        routed = getattr(routed, "app", None)
    around = _marked(app, until=routed)
    if routed is None:
        yield f"MOUNT {prefix or '/'}", around, False
        return
    for label, needed, optional in chain(_own(routed, prefix), _frontends(routed, prefix)):
        yield label, _both(around, needed), optional and around is None


def _own(routed: Any, prefix: str) -> Iterator[tuple[str, Requirement | None, bool]]:  # noqa: ANN401 - FastAPI, a router
    for context in iter_route_contexts(routed.routes):
        yield from _of_route(context, f"{prefix}{context.path or ''}")


def _marked(part: object, until: object = None) -> Requirement | None:
    """What `part` and what is behind it say that they need."""
    found: Requirement | None = None
    while part is not None and part is not until:
        needed = getattr(part, NEEDED, None)
        if isinstance(needed, Requirement):
            found = _both(found, needed)
        part = getattr(part, "app", None)
    return found


def _both(one: Requirement | None, other: Requirement | None) -> Requirement | None:
    return (one or other) if one is None or other is None else one & other


def _of_route(route: Any, path: str) -> Iterator[tuple[str, Requirement | None, bool]]:  # noqa: ANN401 - a RouteContext
    original: BaseRoute = route.original_route
    dependant, endpoint = getattr(route, "dependant", None), route.endpoint
    if dependant is not None:
        needs = needs_of_dependant(dependant)
        needed, optional = (None, False) if needs is None else (needs.needed, needs.optional)
        marked = _marked(endpoint)
        for label in _labels(route, path):
            yield label, _both(marked, needed), optional and marked is None
    elif endpoint is None:
        yield from _routes(getattr(original, "app", None), path)
    else:
        for label in _labels(route, path):
            method = label.partition(" ")[0].lower()
            needed = _marked(getattr(endpoint, method, None)) if isclass(endpoint) else _marked(endpoint)
            yield label, _both(needed, _marked(getattr(original, "app", None))), False


def _labels(route: Any, path: str) -> list[str]:  # noqa: ANN401 - a RouteContext
    if isclass(route.endpoint):
        methods = {method for method in _METHODS if hasattr(route.endpoint, method.lower())}
    else:
        methods = set(getattr(route, "methods", None) or ())
        if "GET" in methods:
            methods.discard("HEAD")  # the same function
    return [f"{method} {path}" for method in sorted(methods)] or [f"WEBSOCKET {path}"]


def _frontends(app: Any, prefix: str) -> Iterator[tuple[str, Requirement | None, bool]]:  # noqa: ANN401 - as above
    """`app.frontend()`: FastAPI keeps its routes in private places."""
    router = getattr(app, "router", app)
    groups = [(group, group, "") for group in getattr(router, "_low_priority_routes", ())]
    groups += [
        (included, included.original_route, getattr(included, "frontend_prefix", ""))
        for route in getattr(router, "routes", ())
        for included in getattr(route, "effective_low_priority_routes", list)()
    ]
    for group, original, included_at in groups:
        needs = needs_of_dependant(group.dependant)
        for route in original.routes:
            needed, optional = (None, False) if needs is None else (needs.needed, needs.optional)
            yield f"GET {prefix}{included_at}{route.path}", needed, optional
