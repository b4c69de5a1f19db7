"""Open paths: what passes without credentials because the configuration says so."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dpop_asgi.asgi.request_path import is_shown_to_the_app

# Below a prefix a path is open only if nothing behind us can take it for one elsewhere, however often it decodes it,
# whatever it takes for a slash and whichever characters it drops: every segment has letters, digits (of any script),
# spaces and these marks alone. So there is no backslash, semicolon, percent sign or control character, also escaped.
_SEGMENTS = re.compile(r"(?:/[\w~!$&'()*+,=:@ .\-]++)*+/?+")
# A segment that has a dot and neither letter, digit nor underscore: `..`, and what becomes one by stripping.
_DOTS = re.compile(r"/(?=[^/\w]*+(?:/|\Z))[^/]*\.")
# More than any link has: what anyone can send is looked at for 100 microseconds at most.
_MAX_BYTES = 2048


class PublicRequests:
    """Requests to open paths: exact ones, and all plain paths below a prefix that ends in `/`.

    Args:
        paths: as the app's router sees them: decoded, with the mount prefix.

    Raises:
        ValueError: naming `public_paths`, when one does not start with `/`, or is a prefix that could open nothing.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        if not isinstance(paths, Iterable):
            msg = f"public_paths: {paths!r} is not a list"
            raise ValueError(msg)
        given = (paths,) if isinstance(paths, str) else tuple(paths)
        for path in given:
            if not path.startswith("/"):
                msg = f"public_paths: {path!r} does not start with /"
                raise ValueError(msg)
        self._exact = frozenset(given)
        # "/" alone is the front page; as a prefix it would open everything.
        self._prefixes = tuple(path for path in given if path.endswith("/") and path != "/")
        for prefix in self._prefixes:
            if not _is_plain(prefix):
                msg = f"public_paths: {prefix!r} is a prefix with characters that no open path may have"
                raise ValueError(msg)

    def match(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request of `scope` needs no credentials."""
        if not self._exact:
            return False
        path: str = scope["path"]
        if path not in self._exact and not (path.startswith(self._prefixes) and _is_plain(path)):
            return False
        sent: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
        # An escaped slash is one to the router, but none to whoever reads the path as it was sent.
        return not sent or (sent.count(b"/") == path.count("/") and is_shown_to_the_app(sent, scope))


def _is_plain(path: str) -> bool:
    return len(path) <= _MAX_BYTES and _SEGMENTS.fullmatch(path) is not None and _DOTS.search(path) is None
