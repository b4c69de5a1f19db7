"""The path of a request as it was sent, and whether it is the one that the app sees.

It comes from `raw_path`: the decoded `path` is the same for `/a%2Fb` and `/a/b`. Routers read `path`, so both must
agree.
"""

import re
import sys
from binascii import a2b_qp
from functools import lru_cache
from urllib.parse import quote

from dpop_asgi.asgi.forwarded import Scope
from dpop_asgi.asgi.router_inside import RouterInside
from dpop_asgi.core.htu import CACHED_LENGTH, CACHED_URIS, normalise_path
from dpop_asgi.errors import InvalidRequest, Reason

# What RFC 3986 §3.3 allows unescaped in a path, for servers that don't provide `raw_path`.
_PATH_SAFE = "/:@!$&'()*+,;=-._~"
# A proof has at most 8 KB, so its `htu` can't be longer.
_MAX_TARGET_BYTES = 8192
# The length of an escaped letter of three bytes.
_LONGEST_ESCAPED = 9
# It takes the `root_path` from the header `Daphne-Root-Path`, whoever sends it, and removes the header.
_DAPHNE = "daphne.http_protocol"
ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_REWRITTEN = (
    "the scope's path and raw_path disagree: middleware that rewrites one must rewrite both, or run inside; "
    "otherwise set target_uri"
)


def path_of(scope: Scope) -> str:
    """The path as sent, without query; in an absolute-form target (RFC 9112 §3.2.2) the part after the authority.

    Raises:
        InvalidRequest: If there is no valid path, or the app sees another one.
    """
    raw: bytes = (scope.get("raw_path") or _quoted(scope["path"])).partition(b"?")[0]
    path = (_cached_path if len(raw) <= CACHED_LENGTH else _path)(raw)
    # Hot path: without an escape there is nothing to decode.
    if (path != scope["path"] or "%" in path) and not is_shown_to_the_app(raw, scope):
        facts = {} if normalise_path(path) is None else {"hint": _REWRITTEN}
        raise InvalidRequest(Reason.TARGET_MALFORMED, **facts)
    return path


def is_shown_to_the_app(raw: bytes, scope: Scope) -> bool:
    """Whether `raw`, as sent, without query, is the path that the app sees in `scope["path"]`.

    Every server decodes it once. A mount may have moved its beginning to the end of `root_path`.
    """
    shown: str = scope["path"]
    sent = _decoded(raw)
    if shown == sent:
        return True
    return len(shown) < len(sent) and f"{scope.get('root_path', '')}{shown}".endswith(sent)


def server_root_path(scope: Scope) -> str:
    """Where the server says that the app is. In ASGI `path` begins with it.

    A mount of Starlette makes `root_path` longer, and keeps the server's.
    """
    root_path: str | None = scope.get("app_root_path", scope.get("root_path"))
    return root_path or ""


def is_chosen_by_client(scope: Scope) -> bool:
    """Whether a client may have chosen the `root_path`, and with it what routers leave out of the path."""
    return bool(server_root_path(scope)) and _DAPHNE in sys.modules


def is_unclear(scope: Scope) -> bool:
    """Whether routers may disagree about what the path is without the `root_path`.

    All leave it out where it stands at the beginning, before a slash. Quart leaves out a part of a segment, too,
    Litestar one in the middle, and WSGI servers as many characters as it has.
    """
    path: str = scope["path"]
    for root in (scope.get("root_path"), scope.get("app_root_path")):
        if root and (root.rstrip("/") or "//") in path and path != root and not path.startswith(root + "/"):
            return True
    return False


def is_ambiguous(scope: Scope, router: RouterInside) -> bool:
    """Whether routers may read the path in other ways than those of `all_views`.

    Some servers pass on whatever was sent, and some routers add the slash at the beginning, or find the path in a URI.
    """
    if not scope["path"].startswith("/") or b"#" in (scope.get("raw_path") or b"") or is_chosen_by_client(scope):
        return True
    return is_unclear(scope) and not all(map(router.is_starlettes, all_views(scope, router)))


def public_views(scope: Scope, router: RouterInside) -> set[str]:
    """What the router inside may call the path: with a `root_path`, or without. Empty if unclear."""
    path: str = scope["path"]
    root_path, own = server_root_path(scope), router.root_paths
    if not root_path and not own:
        return {path}
    view = below(root_path, path) if root_path else path
    # Starlette's mounts match the whole path if it doesn't begin with the `root_path`.
    is_whole = (root_path and view == path) or any(below(each, path) == path for each in own)
    is_in_mount = scope.get("root_path", "") != root_path or router.is_mounted(path)
    if is_chosen_by_client(scope) or (is_whole and is_in_mount):
        return set()
    if router.is_starlettes(view):
        return {view}
    return set() if is_unclear(scope) else {path, view, *(below(each, path) for each in own)}


def all_views(scope: Scope, router: RouterInside) -> set[str]:
    """What routers may call the path: whole, or without the `root_path` of the server, of a mount or of an app."""
    path: str = scope["path"]
    roots = (scope.get("root_path"), scope.get("app_root_path"), *router.root_paths)
    return {path, *(below(root, path) for root in roots if root)}


def below(root_path: str, path: str) -> str:
    """The path that Starlette's router matches: without `root_path`, where that is what stands before a slash."""
    if path == root_path:
        return "/"
    rest = path.removeprefix(root_path)
    return rest if rest.startswith("/") else path


def _decoded(raw: bytes) -> str:
    """Decodes like `urllib.parse.unquote`, which is too slow for 8 KB of escapes: five times a signature check.

    Quoted-printable is percent-encoding with `=` as its sign. Malformed escapes differ, but then it isn't a URI anyway.
    """
    if b"%" in raw:
        raw = a2b_qp(raw.replace(b"=", b"=3D").replace(b"%", b"="))
    return raw.decode("utf-8", "replace")


def _path(raw: bytes) -> str:
    # A fragment is never sent (RFC 9112 §3.2); a URI parser would cut it off.
    if len(raw) > _MAX_TARGET_BYTES or b"#" in raw:
        raise InvalidRequest(Reason.TARGET_MALFORMED, size=len(raw))
    absolute = ABSOLUTE_FORM.match(raw)
    if absolute is not None:
        raw = raw[absolute.end() :] or b"/"
    if not raw.startswith(b"/"):
        raise InvalidRequest(Reason.TARGET_MALFORMED)
    return raw.decode("latin-1")


def _quoted(path: str) -> bytes:
    # Checked before quoting, which costs as much as nine signature checks for 8,000 non-ASCII characters.
    if len(path) * (1 if path.isascii() else _LONGEST_ESCAPED) > _MAX_TARGET_BYTES:
        raise InvalidRequest(Reason.TARGET_MALFORMED, size=len(path))
    try:
        return quote(path, safe=_PATH_SAFE, errors="strict").encode("ascii")
    except UnicodeEncodeError:  # a lone surrogate: some servers pass paths that aren't UTF-8 like that
        raise InvalidRequest(Reason.TARGET_MALFORMED) from None


_cached_path = lru_cache(CACHED_URIS)(_path)
