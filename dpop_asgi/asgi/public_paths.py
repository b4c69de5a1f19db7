"""What passes without credentials: configured open paths, and CORS preflights."""

from collections.abc import Iterable, Mapping
from typing import Any

# With these a path may name something else to a router or a backend than it names here: such a path is never open.
_AMBIGUOUS = (b"%2f", b"%5c", b"%2e", b"%25", b"%00", b"\\", b"//", b"/./", b"/../", b"..;")


class PublicRequests:
    """CORS preflights, and open paths: exact ones, and all below a prefix that ends in `/`.

    Args:
        paths: as the app's router sees them: decoded, with the mount prefix.
        preflights: whether those pass on any path.

    Raises:
        ValueError: naming `public_paths`, when one does not start with `/`.
    """

    def __init__(self, paths: Iterable[str], *, preflights: bool) -> None:
        if not isinstance(paths, Iterable):
            msg = f"public_paths: {paths!r} is not a list"
            raise ValueError(msg)
        given = (paths,) if isinstance(paths, str) else tuple(paths)
        for path in given:
            if not path.startswith("/"):
                msg = f"public_paths: {path!r} does not start with /"
                raise ValueError(msg)
        self._preflights = preflights
        self._exact = frozenset(given)
        # "/" alone is the front page; as a prefix it would open everything.
        self._prefixes = tuple(path for path in given if path.endswith("/") and path != "/")

    def match(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request of `scope` needs no credentials."""
        if scope.get("method") == "OPTIONS" and self._preflights and _is_preflight(scope):
            return True
        if not self._exact:
            return False
        path: str = scope["path"]
        if path not in self._exact and not path.startswith(self._prefixes):
            return False
        raw = (scope.get("raw_path") or path.encode("utf-8", "surrogateescape")).lower().partition(b"?")[0]
        return not raw.endswith((b"/.", b"/..")) and not any(mark in raw for mark in _AMBIGUOUS)


def _is_preflight(scope: Mapping[str, Any]) -> bool:
    """Whether this `OPTIONS` request is a CORS preflight, which never carries credentials; others are none."""
    if scope["type"] != "http":
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names
