"""What all dependencies of a FastAPI route need together."""

from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import and_
from typing import Any

from fastapi.security.base import SecurityBase

from dpop_asgi.core.authorization import Requirement

# There are as many as routes.
_MOST_REMEMBERED = 4096
_walked: dict[int, tuple[object, "Needs | None"]] = {}


class Asking(SecurityBase):
    """A dependency that asks for a caller.

    Attributes:
        acr_values: see `Requirement`.
        max_age: see `Requirement`.
        bearer: see `Requirement`.
        auto_error: whether a request without credentials is rejected.
    """

    acr_values: tuple[str, ...]
    max_age: int | None
    bearer: bool
    auto_error: bool

    def needed(self, scopes: Iterable[str]) -> Requirement:
        """What it needs, together with these scopes of its own and of what depends on it.

        Raises:
            ValueError: If one is not a scope-token (RFC 6749 §3.3).
        """
        return _requirement(tuple(scopes), self.acr_values, self.max_age, self.bearer)


_requirement = lru_cache(1024)(Requirement)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route needs.

    Attributes:
        parts: what each of its dependencies needs.
        needed: all of it.
        optional: whether a request without credentials passes.
    """

    parts: tuple[Requirement, ...]
    needed: Requirement
    optional: bool


def needs_of(scope: MutableMapping[str, Any]) -> Needs | None:
    """What the matched route needs, or `None` if that is unknown: each dependency then asks for its own part.

    It is only used to ask for everything at once, and before the body is read. FastAPI keeps it in private places.

    Raises:
        ValueError: If no caller could meet all of it.
    """
    route = scope.get("route")
    included = scope.get("fastapi")
    if isinstance(included, dict):
        # The route as it is included here, with the dependencies of its routers.
        context = included.get("effective_route_context")
        route = context if getattr(context, "original_route", None) is route else route
    dependant = getattr(route, "dependant", None)
    provider = getattr(route, "dependency_overrides_provider", None)
    if dependant is None or getattr(provider, "dependency_overrides", None):
        return None
    known = _walked.get(id(dependant))
    if known is None or known[0] is not dependant:
        if len(_walked) >= _MOST_REMEMBERED:
            _walked.clear()
        known = _walked[id(dependant)] = dependant, needs_of_dependant(dependant)
    return known[1]


def needs_of_dependant(dependant: object) -> Needs | None:
    """What these dependencies need, or `None` if none of them asks, or FastAPI keeps them elsewhere by now.

    Raises:
        ValueError: If one needs what is no scope, or no caller could meet all of it.
    """
    try:
        found = list(_asking(dependant))
    except AttributeError:
        return None
    if not found:
        return None
    parts = tuple(asking.needed(scopes) for asking, scopes in found)
    return Needs(parts, reduce(and_, parts), not any(asking.auto_error for asking, _ in found))


def _asking(dependant: Any) -> Iterator[tuple[Asking, list[str]]]:  # noqa: ANN401 - FastAPI's Dependant is private
    """Those that ask, each with the scopes that it is asked for."""
    if isinstance(dependant.call, Asking):
        scopes = [*(dependant.parent_oauth_scopes or ()), *(dependant.own_oauth_scopes or ())]
        yield dependant.call, list(dict.fromkeys(scopes))
    for part in dependant.dependencies:
        yield from _asking(part)
