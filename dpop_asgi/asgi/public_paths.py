"""Public paths, which need no credentials because the configuration says so."""

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

from dpop_asgi.asgi.request_path import is_shown_to_the_app, public_views
from dpop_asgi.asgi.router_inside import UNKNOWN_ROUTER, RouterInside

# Routers and backends may interpret other characters differently: decode them again, treat them as slashes, or drop
# them. So below a prefix a path is public only if its segments have nothing but letters and digits (of any script),
# spaces and these marks: no backslash, semicolon, percent sign or control character, whether escaped or not.
_SEGMENTS = re.compile(r"(?:/[\w~!$&'()*+,=:@ .\-]++)*+/?+")
# A segment with a dot but no letter, digit or underscore: `..`, and anything that becomes it when stripped.
_DOTS = re.compile(r"/(?=[^/\w]*+(?:/|\Z))[^/]*\.")
# Wildcards and parameters of routers, and what isn't part of a path.
_PATTERN = re.compile(r"[*{<?#]|/:")
# Escapes of slashes, and of what URIs should have unescaped (RFC 3986 §2.3).
_UNESCAPED = string.ascii_letters + string.digits + "-._~/"
_NEEDLESS = re.compile("|".join(f"%{ord(each):02X}" for each in _UNESCAPED).encode(), re.IGNORECASE)
# Longer than any link. Anyone can send paths, so the time to match one is limited.
_MAX_BYTES = 2048


class PublicRequests:
    """Requests to public paths: exact ones, and all plain paths below a prefix that ends in `/`.

    Args:
        paths: decoded, with the prefix of a mount. Without the `root_path` of the server where `router` is Starlette's;
            of other routers it is not known which they match, so both have to be listed.
        option: the name of the option.
        router: what the requests will reach.

    Attributes:
        paths: all of them.

    Raises:
        ValueError: If a path doesn't start with `/`, or is a prefix that can't match; the message names
            the option.
    """

    def __init__(
        self, paths: Iterable[str], *, option: str = "public_paths", router: RouterInside = UNKNOWN_ROUTER
    ) -> None:
        self._router = router
        given = checked_paths(option, paths)
        self.paths: frozenset[str] = frozenset(given)
        # "/" alone is the front page; as a prefix it would make everything public.
        self._prefixes = tuple(path for path in given if path.endswith("/") and path != "/")
        for prefix in self._prefixes:
            if not _is_plain(prefix):
                msg = f"{option}: {prefix!r} is a prefix with characters that aren't allowed in public paths"
                raise ValueError(msg)

    def match(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request of `scope` needs no credentials."""
        if not self.paths:
            return False
        views = public_views(scope, self._router)
        return bool(views) and all(self.match_one(view, scope) for view in views)

    def match_one(self, path: str, scope: Mapping[str, Any]) -> bool:
        """The same for `path`, one of those that the request of `scope` may have."""
        if path not in self.paths and not (path.startswith(self._prefixes) and _is_plain(path)):
            return False
        sent: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
        # Some routers match the path as it was sent: for them, an escaped slash is none, and `/%68ealth` not `/health`.
        return not sent or (_NEEDLESS.search(sent) is None and is_shown_to_the_app(sent, scope))


def checked_paths(option: str, paths: Iterable[str]) -> tuple[str, ...]:
    """One path, or several.

    Raises:
        ValueError: If one isn't a path, or is a pattern, which would never match; the message names the option.
    """
    if not isinstance(paths, Iterable):
        msg = f"{option}: {paths!r} is not a list"
        raise ValueError(msg)
    given: tuple[object, ...] = (paths,) if isinstance(paths, str) else tuple(paths)
    for path in given:
        if not isinstance(path, str) or not path.startswith("/"):
            msg = f"{option}: {path!r} does not start with /"
            raise ValueError(msg)
        if _PATTERN.search(path):
            msg = f"{option}: {path!r} is a pattern or has a query: paths are exact, or end in / for all below"
            raise ValueError(msg)
    return tuple(map(str, given))


def _is_plain(path: str) -> bool:
    return len(path) <= _MAX_BYTES and _SEGMENTS.fullmatch(path) is not None and _DOTS.search(path) is None
