"""Causes of another `htu` than the URL of the request: which part differs, and how."""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.core.htu import is_loopback, normalise
from dpop_asgi.errors import Reason

_NORMAL = re.compile(r"(https?)://(\[[^/]*\]|[^/:]*)(?::(\d+))?(/.*)", re.DOTALL)
_PRIVATE = re.compile(r"(10|192\.168|172\.(1[6-9]|2\d|3[01]))\.")
_SIGN_CALLED = "Sign the URL that the client calls, as the server knows it."


class Place(NamedTuple):
    """The parts of a URL in normal form."""

    scheme: str
    host: str
    port: str
    path: str

    @property
    def is_internal(self) -> bool:
        """Whether it is a name that only machines beside the server use."""
        name = self.host.strip("[]")
        return is_loopback(name) or "." not in name or _PRIVATE.match(name) is not None


def place(uri: str) -> Place:
    """The parts of `uri`, which is in normal form."""
    found = _NORMAL.fullmatch(uri)
    return Place(found[1], found[2], found[3] or "", found[4]) if found else Place("", "", "", uri)


_Compare = Callable[[Place, Place], Advice | None]


def _not_a_url(case: Case, _check: Check) -> Advice | None:
    htu = (case.claims or {}).get("htu")
    if not isinstance(htu, str) or normalise(htu, websocket=case.message.websocket) is not None:
        return None
    if htu.startswith("/"):
        return Advice("htu is only a path.", "Sign the absolute URL: scheme, host and path.")
    scheme = htu.partition("://")[0].lower() if "://" in htu else ""
    if scheme in {"ws", "wss"}:
        return Advice(f"htu is a {scheme} URL, but the request isn't a WebSocket handshake.", _SIGN_CALLED)
    if not scheme:
        return Advice("htu has no scheme.", "Sign the absolute URL: scheme, host and path.")
    if "@" in htu.partition("://")[2].partition("/")[0]:
        return Advice("htu contains a user name (user@host).", "Leave it out.")
    return Advice("htu isn't a valid http(s) URL: it has a space, or characters that aren't escaped.", _SIGN_CALLED)


def _server_differs(case: Case, check: Check) -> Advice | None:
    """The client has signed what it called; only the server can have taken another URL."""
    if check.facts.get("seen_by") is None:
        return None
    url = case.target_uri or "the URL that clients use"
    origin = "/".join(url.split("/")[:3])
    return Advice(
        "The client signed the URL that it called, but the server takes another one for its own: behind a proxy "
        "that ends TLS, changes the host, or strips a prefix, and without public_url.",
        f'Set public_url="{origin}" at the server, with the prefix that the proxy strips. Its log has both URLs.',
    )


def _differs(case: Case, _check: Check) -> Advice:
    signed = normalise(str((case.claims or {}).get("htu")), websocket=case.message.websocket) or ""
    ours, theirs = place(case.target_uri or ""), place(signed)
    found = (compare(theirs, ours) for compare in _COMPARISONS)
    return next(each for each in found if each is not None)


def _internal(signed: Place, request: Place) -> Advice | None:
    if signed.host == request.host or signed.is_internal == request.is_internal:
        return None
    if request.is_internal:
        return Advice(
            f"The server is behind a proxy, and takes its internal address ({request.host}) for its own.",
            f'Set public_url="{_origin(signed)}", the URL that clients use.',
        )
    return Advice(
        f"The client signs an internal address ({signed.host}): its base URL isn't the one that it calls, or is "
        "behind a proxy.",
        f"Sign {_origin(request)}, the URL that clients use.",
    )


def _host(signed: Place, request: Place) -> Advice | None:
    if signed.host == request.host:
        return None
    if is_loopback(signed.host) and is_loopback(request.host):
        return Advice(
            f"{signed.host} is signed, {request.host} is called: both are this machine, but not the same URL.",
            _SIGN_CALLED,
        )
    if signed.host.removeprefix("www.") == request.host.removeprefix("www."):
        return Advice("The hosts differ by www.", _SIGN_CALLED)
    if signed.host.rstrip(".") == request.host.rstrip("."):
        return Advice("One host has a dot at its end.", _SIGN_CALLED)
    return Advice(
        "The hosts differ: the proof is for another server, or the server has several names.",
        f"{_SIGN_CALLED} If it has several names, list them all in public_url.",
    )


def _scheme(signed: Place, request: Place) -> Advice | None:
    if signed.scheme == request.scheme:
        return None
    if signed.scheme == "http":
        return Advice(
            "http is signed, https is called: the client has http in its settings, or takes the URL from a request "
            "that reached it behind a TLS proxy.",
            "Sign the https URL.",
        )
    return Advice(
        "http for https: TLS ends at a proxy, and the server takes plain http for its own URL.",
        f'Set public_url="{_origin(signed)}" at the server.',
    )


def _port(signed: Place, request: Place) -> Advice | None:
    if signed.port == request.port:
        return None
    names = [place.port or "the default port" for place in (signed, request)]
    return Advice(
        f"The ports differ: {names[0]} is signed, the request is for {names[1]}. A proxy maps one to the other.",
        f'If clients use the signed one, set public_url="{_origin(signed)}" at the server; else sign the other.',
    )


def _double_slash(signed: Place, request: Place) -> Advice | None:
    if re.sub(r"/{2,}", "/", signed.path) != re.sub(r"/{2,}", "/", request.path):
        return None
    return Advice(
        "The paths differ by a double slash: a base URL that ends in / was joined with a path that begins with one.",
        "Join them with a single slash. They are different resources, and never folded.",
    )


def _trailing_slash(signed: Place, request: Place) -> Advice | None:
    if signed.path.rstrip("/") != request.path.rstrip("/"):
        return None
    return Advice(
        "The paths differ by a slash at the end: often a redirect of the framework, such as /orders to /orders/.",
        "Call and sign the path as the route has it.",
    )


def _case(signed: Place, request: Place) -> Advice | None:
    if signed.path.lower() != request.path.lower():
        return None
    return Advice("The paths differ in case, which matters in a path.", _SIGN_CALLED)


def _escapes(signed: Place, request: Place) -> Advice | None:
    spellings = [{path, unquote(path), unquote(unquote(path))} for path in (signed.path, request.path)]
    if not spellings[0] & spellings[1]:
        return None
    if "%252f" in f"{signed.path}{request.path}".lower() or "%25" in f"{signed.path}{request.path}":
        return Advice("One of the paths is escaped twice (%25).", "Escape it once, and sign it as it is sent.")
    if "%2f" in f"{signed.path}{request.path}".lower():
        return Advice(
            "A slash is escaped (%2F) in one of the paths only: a client, proxy or framework has decoded it.",
            "Sign the path as it is sent, and have proxies pass it on undecoded.",
        )
    return Advice("The paths are escaped differently.", "Sign the path exactly as it is sent.")


def _prefix(signed: Place, request: Place) -> Advice | None:
    if request.path != "/" and signed.path.endswith(request.path):
        prefix = signed.path.removesuffix(request.path)
        return Advice(
            f"{prefix} is missing in the request's path: a proxy strips this prefix before the server.",
            f'Set public_url="{_origin(signed)}{prefix}" at the server.',
        )
    if signed.path != "/" and request.path.endswith(signed.path):
        prefix = request.path.removesuffix(signed.path)
        if signed.path.startswith(f"{prefix}/") or signed.path == prefix:
            return Advice(
                f"{prefix} is duplicated in the request's URL: public_url has it, and the path too.",
                "Take it out of public_url, or have the proxy strip it.",
            )
        return Advice(
            f"{prefix} is missing in htu: the client signs the path without its base URL.",
            f"Sign {_origin(request)}{request.path}.",
        )
    return None


def _other_path(_signed: Place, request: Place) -> Advice:
    return Advice(
        "The proof is for another resource of this server: it was kept and used for another request.",
        f"Make a proof for {request.path[:80]}: each request needs its own.",
    )


def _origin(where: Place) -> str:
    return f"{where.scheme}://{where.host}{f':{where.port}' if where.port else ''}"


_COMPARISONS: tuple[_Compare, ...] = (
    *(_internal, _host, _scheme, _port),
    *(_double_slash, _trailing_slash, _case, _escapes, _prefix, _other_path),
)

CAUSES: Causes = {Reason.TARGET_MISMATCH: (_not_a_url, _server_differs, _differs)}
