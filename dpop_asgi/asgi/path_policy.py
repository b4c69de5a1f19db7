"""What requests need, by path: `protect`, `public_paths` and `require` of the middleware."""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, Literal

from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.asgi.request_path import routed_paths
from dpop_asgi.core.authorization import ANY_CALLER, Requirement
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import Mode
from dpop_asgi.errors import InvalidRequest, Reason

Needed = Requirement | Literal["required", "mixed", "public"]

_DPOP_ONLY = Requirement(bearer=False)

# What serves files leaves out empty and dot segments (and a backslash is a slash on Windows): the file would be below
# another path than the one that decides. Escaped slashes are slashes by now, so the check of the target URI sees less.
_UNSETTLED = re.compile(r"//|/\.|\\")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|\Z)")
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
    ) -> None:
        public = PublicRequests(public_paths)
        required = RequiredPaths(needed, mode=mode) if needed else None
        also_public = () if required is None else required.public
        named = {path for path in public.paths if needed.get(path, "public") != "public"}
        require("require", not named, "public for the public_paths that it names, too")
        routes = 'empty with protect="routes": no path needs credentials'
        require("public_paths", everything or not public.paths, routes)
        require("require", everything or not also_public, "without public paths where routes ask")
        self.everything: bool = everything
        self._public = PublicRequests([*public.paths, *also_public])
        self._has_public = bool(self._public.paths)
        self._required = required
        self._nonces = PublicRequests(nonce_paths, option="nonce_paths")

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

    Routers ignore the `root_path` at the beginning of a path, so a path with it also needs what it needs without.

    Args:
        needed: by path, exact or a prefix that ends in `/`: a `Requirement`; `required` (DPoP only); `mixed` (what the
            authenticator's mode accepts); or `public`. Loosening words hold for plain paths only, as in `public_paths`.
        mode: of the authenticator. Nothing here can loosen it.

    Attributes:
        public: the paths that are `public`.

    Raises:
        ValueError: If a path or a value is invalid; the message names `require`.
    """

    def __init__(self, needed: Mapping[str, Needed], *, mode: Mode) -> None:
        require("require", isinstance(needed, Mapping), "a mapping of paths")
        for path, value in needed.items():
            fits = isinstance(value, Requirement) or value in ("required", "mixed", "public")
            require("require", fits, f"a Requirement, required, mixed or public, for {path!r}")
            require("require", value != "mixed" or mode == "mixed", f"no looser than the mode, for {path!r}")
        PublicRequests(needed, option="require")  # it rejects what is no path
        loose = {path: PublicRequests(path, option="require") for path in needed if needed[path] in ("mixed", "public")}
        self.public: list[str] = [path for path in needed if needed[path] == "public"]
        self._rules = [
            (path, _DPOP_ONLY if needed[path] == "required" else needed[path], loose.get(path))
            for path in sorted(needed, key=lambda path: (path.endswith("/") and path != "/", -len(path)))
        ]

    def of(self, scope: Mapping[str, Any]) -> Requirement | None:
        """What this request needs; `None` if nothing is said about it, or it is public.

        Raises:
            InvalidRequest: If the path has dot segments, or needs something else without its empty segments; or if no
                caller could meet what it needs with and without `root_path`.
        """
        shown: str = scope["path"]
        needed = self._of(scope)
        if _UNSETTLED.search(shown) is not None:
            settled = _SLASHES.sub("/", shown)
            if _DOT_SEGMENT.search(settled) is not None or self._of({**scope, "path": settled}) != needed:
                raise InvalidRequest(Reason.TARGET_MALFORMED)
        return needed

    def _of(self, scope: Mapping[str, Any]) -> Requirement | None:
        needed = None
        for path in routed_paths(scope):
            also = self._of_path({**scope, "path": path})
            try:
                needed = needed & also if needed and also else needed or also
            except ValueError:
                raise InvalidRequest(Reason.TARGET_MALFORMED) from None
        return needed

    def _of_path(self, scope: Mapping[str, Any]) -> Requirement | None:
        shown: str = scope["path"]
        for path, needed, loose in self._rules:
            if loose is not None:
                if loose.match(scope):
                    return ANY_CALLER if needed == "mixed" else None
            elif shown == path or (path.endswith("/") and path != "/" and shown.startswith(path)):
                return needed if isinstance(needed, Requirement) else None
        return None
