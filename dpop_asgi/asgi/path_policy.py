"""What requests need, by path: `protect`, `public_paths` and `require` of the middleware."""

import re
from collections.abc import Container, Iterable, Mapping
from enum import Enum
from functools import reduce
from operator import and_
from typing import Any, Final, Literal

from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.asgi.request_path import all_views, is_ambiguous
from dpop_asgi.asgi.router_inside import UNKNOWN_ROUTER, RouterInside
from dpop_asgi.core.authorization import ANY_CALLER, Requirement
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import Mode
from dpop_asgi.errors import InvalidRequest, Reason

Needed = Requirement | Literal["required", "mixed", "public"]

# `None` leaves it to the public paths whether anything is needed.
_WORDS: Mapping[str, Requirement | None] = {"required": Requirement(bearer=False), "mixed": ANY_CALLER, "public": None}

# What serves files leaves out empty and dot segments (and a backslash is a slash on Windows): the file would be below
# another path than the one that decides. Escaped slashes are slashes by now, so the check of the target URI sees less.
# A regular expression that ends in `$`, as those of Starlette's router do, also matches with a line feed at the end.
_UNSETTLED = re.compile(r"//|/\.|\\|[\x00-\x1f\x7f]")
_REFUSED = re.compile(r"/\.\.?(?:/|\Z)|[\x00-\x1f\x7f]")
_SLASHES = re.compile(r"[/\\]+")


class _Access(Enum):
    OPEN = "the app gets the request, whoever sent it"


OPEN: Final = _Access.OPEN


class PathPolicy:
    """What each request needs, by the options of the middleware.

    Args:
        public_paths: see `DPoPMiddleware`.
        needed: its `require`.
        nonce_paths: see `DPoPMiddleware`.
        everything: whether requests to all other paths need credentials.
        mode: of the authenticator.
        router: what the requests will reach.

    Attributes:
        everything: see above.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        public_paths: Iterable[str],
        needed: Mapping[str, Needed],
        nonce_paths: Iterable[str],
        *,
        everything: bool,
        mode: Mode,
        router: RouterInside = UNKNOWN_ROUTER,
    ) -> None:
        public = PublicRequests(public_paths)
        required = RequiredPaths(needed, mode=mode, router=router, apart=public.paths) if needed else None
        also_public = () if required is None else required.public
        named = {path for path in public.paths if needed.get(path, "public") != "public"}
        require("require", not named, "public for the public_paths that it names, too")
        routes = 'empty with protect="routes": no path needs credentials'
        require("public_paths", everything or not public.paths, routes)
        require("require", everything or not also_public, "without public paths where routes ask")
        self.everything: bool = everything
        self._public = PublicRequests([*public.paths, *also_public], router=router)
        self._has_public = bool(self._public.paths)
        self._required = required
        self._nonces = PublicRequests(nonce_paths, option="nonce_paths", router=router)

    def needed(self, scope: Mapping[str, Any]) -> Requirement | _Access | None:
        """What this request needs: something besides a valid token, no more than that (`None`), or nothing (`OPEN`).

        Raises:
            InvalidRequest: See `RequiredPaths.of`.
        """
        if self._required is not None:
            needed = self._required.of(scope)
            if needed is not None:
                return needed
        if not self.everything or (self._has_public and self._public.match(scope)):
            return OPEN
        return None

    def offers_nonce(self, scope: Mapping[str, Any]) -> bool:
        """Whether the response has a nonce although no caller is known."""
        return self._nonces.match(scope)


class RequiredPaths:
    """What requests need. The longest path that matches decides; exact ones come first.

    Routers redirect `/a` to `/a/`, or serve both: what is needed for one is needed for the other, too, unless something
    is said about both. The path may be the whole one, or the one without a `root_path`; what is needed for either is.

    Args:
        needed: by path, exact or a prefix that ends in `/`: a `Requirement`; `required` (DPoP only); `mixed` (what the
            authenticator's mode accepts); or `public`. The last two hold where `public_paths` would: for plain paths,
            named as there.
        mode: of the authenticator. Nothing here can loosen it.
        router: what the requests will reach.
        apart: other paths about which something is said.

    Attributes:
        public: the paths that are `public`.

    Raises:
        ValueError: If a path or a value is invalid, or no caller could meet all of it; the message names `require`.
    """

    def __init__(
        self,
        needed: Mapping[str, Needed],
        *,
        mode: Mode,
        router: RouterInside = UNKNOWN_ROUTER,
        apart: Container[str] = (),
    ) -> None:
        require("require", isinstance(needed, Mapping), "a mapping of paths")
        for path, value in needed.items():
            fits = isinstance(value, Requirement) or value in ("required", "mixed", "public")
            require("require", fits, f"a Requirement, required, mixed or public, for {path!r}")
            require("require", value != "mixed" or mode == "mixed", f"no looser than the mode, for {path!r}")
        PublicRequests(needed, option="require")  # it rejects what is no path
        loose = {
            path: PublicRequests(path, option="require", router=router)
            for path in needed
            if needed[path] in ("mixed", "public")
        }
        self._loose = PublicRequests(loose, router=router)
        self.public: list[str] = [path for path in needed if needed[path] == "public"]
        self._router = router
        self._rules = [
            (path, _meaning(needed[path]), loose.get(path))
            for path in sorted(needed, key=lambda path: (path.endswith("/") and path != "/", -len(path)))
        ]
        twins = {_twin(path): rule for path, rule, _ in self._rules if rule is not None and path != "/"}
        self._twins = {path: rule for path, rule in twins.items() if path not in needed and path not in apart}
        for path in self._twins:
            try:
                self._at(path, {"path": path})
            except ValueError as error:
                msg = f"require: {path} and what is around it: {error}"
                raise ValueError(msg) from None

    def of(self, scope: Mapping[str, Any]) -> Requirement | None:
        """What this request needs; `None` if nothing is said about it, or it is public.

        Raises:
            InvalidRequest: If routers may read the path in different ways: it has dot segments, control characters or a
                fragment, doesn't begin with `/`, has the `root_path` elsewhere than at its beginning, or needs
                something else without its empty segments. Or if nobody could have all that it needs with and without
                `root_path`.
        """
        shown: str = scope["path"]
        if is_ambiguous(scope, self._router):
            raise InvalidRequest(Reason.TARGET_MALFORMED)
        views = all_views(scope, self._router)
        needed = self._needed(views, scope)
        if _UNSETTLED.search(shown) is not None:
            settled = {_SLASHES.sub("/", view) for view in views}
            if any(map(_REFUSED.search, settled)) or self._needed(settled, scope) != needed:
                raise InvalidRequest(Reason.TARGET_MALFORMED)
        return needed

    def _needed(self, views: set[str], scope: Mapping[str, Any]) -> Requirement | None:
        try:
            return _both(*(self._at(view, scope) for view in sorted(views)))
        except ValueError:
            raise InvalidRequest(Reason.TARGET_MALFORMED) from None

    def _at(self, path: str, scope: Mapping[str, Any]) -> Requirement | None:
        return _both(self._said(path, scope), self._twins.get(path))

    def _said(self, shown: str, scope: Mapping[str, Any]) -> Requirement | None:
        at_least: Requirement | None = None
        for path, needed, loose in self._rules:
            if loose is not None and loose.match_one(shown, scope) and self._loose.match(scope):
                return needed
            if shown == path or (path.endswith("/") and path != "/" and shown.startswith(path)):
                if loose is None:
                    return needed
                # Not plain: what is around it decides, and if there is nothing, it is not open.
                at_least = at_least or needed
        return at_least


def _meaning(needed: Needed) -> Requirement | None:
    return needed if isinstance(needed, Requirement) else _WORDS[needed]


def _twin(path: str) -> str:
    return path[:-1] if path.endswith("/") else path + "/"


def _both(*needs: Requirement | None) -> Requirement | None:
    needed = list(dict.fromkeys(need for need in needs if need is not None))
    return reduce(and_, needed) if needed else None
