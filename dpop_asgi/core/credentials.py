"""The incoming request as facts: exactly one token, exactly one proof."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dpop_asgi.core.caller import Caller
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.htu import has_dot_segments, normalise
from dpop_asgi.core.options import closed_if_coroutine
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import InvalidProof, InvalidRequest, MissingCredentials, Reason

# RFC 9110 §11.4 and RFC 9449 §7.1: scheme, one or more spaces, one token68.
_SCHEME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

# Signed tokens with many claims have some 4 KB; common servers take 8 to 64 KB for all fields together.
MAX_AUTHORIZATION_BYTES = 16384

_SCHEMES: dict[bytes, Scheme] = {b"dpop": "DPoP", b"bearer": "Bearer"}


@dataclass(slots=True)  # not frozen: see Situation
class IncomingRequest:
    """What the decision needs to know of a request.

    Attributes:
        method: as sent (`GET` for a WebSocket handshake).
        target_uri: the absolute URI that the client asked for, or a function that finds it and may refuse.
        headers: the fields as ASGI has them: lower-case names, every occurrence.
        websocket: whether it is a WebSocket handshake.
        accepted_before: the caller, when another authenticator has accepted this very request: its nonce is then not
            asked for again, and the first use of its proof only if that one could not record it.
    """

    method: str
    target_uri: str | Callable[[], str]
    headers: Iterable[tuple[bytes, bytes]] = field(repr=False)
    websocket: bool = False
    accepted_before: Caller | None = None

    def resolved_uri(self) -> str:
        """The target URI in normal form; from then on the value of `target_uri`, so that it stays what was judged.

        Raises:
            InvalidRequest: when there is no such URI, or not one that is served here, or one with dot segments: routers
                keep them, normal forms do not, so another resource would be reached than is signed for.
            TypeError: when the function gives something else than a string.
        """
        target_uri = self.target_uri
        given = target_uri if isinstance(target_uri, str) else target_uri()
        if not isinstance(given, str):
            closed_if_coroutine(given)
            raise TypeError(f"target_uri: must return a str, not a {type(given).__name__}")
        uri = normalise(given)
        if uri is None or has_dot_segments(given):
            raise InvalidRequest(Reason.TARGET_MALFORMED)
        self.target_uri = uri
        return uri


@dataclass(slots=True)  # not frozen: see Situation
class Credentials:
    """One access token as sent, under one scheme, and the `DPoP` fields."""

    scheme: Scheme
    raw_token: bytes = field(repr=False)
    proofs: list[bytes] = field(repr=False)

    @property
    def token(self) -> str:
        """The token, ASCII."""
        return self.raw_token.decode("ascii")

    @property
    def token_hash(self) -> str:
        """Base64url SHA-256 of the token, as `ath` has it."""
        return sha256_b64url(self.raw_token)

    def proof(self) -> bytes:
        """The one proof (RFC 9449 §4.3 item 1).

        Raises:
            InvalidProof: when there is none, or more than one.
        """
        if len(self.proofs) != 1:
            raise InvalidProof(Reason.PROOF_REPEATED if self.proofs else Reason.PROOF_MISSING)
        return self.proofs[0]


def read_credentials(headers: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """The access token of a request (RFC 9449 §7.1, RFC 6750 §2.1); never from query or body.

    Raises:
        MissingCredentials: no `Authorization` field, or a scheme that is neither DPoP nor Bearer.
        InvalidRequest: more than one field, or not a scheme and one token68.
    """
    fields = list(headers)
    named = dict(fields)
    proofs = [named[b"dpop"]] if b"dpop" in named else []
    # Where no name stands twice they are looked up, not looked for: browsers send some twenty fields.
    repeated = len(named) < len(fields)
    if repeated:
        proofs = _all_named(b"dpop", fields)
    if b"authorization" not in named:
        raise MissingCredentials(Reason.AUTHORIZATION_MISSING, proofs=len(proofs))
    if repeated and len(_all_named(b"authorization", fields)) > 1:
        raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
    scheme, token = _split(named[b"authorization"])
    return Credentials(scheme, token, proofs)


def _all_named(wanted: bytes, fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def scheme_of(headers: Iterable[tuple[bytes, bytes]]) -> Scheme:
    """The scheme under which an access token was sent; DPoP where that is not clear."""
    named = dict(headers).get(b"authorization", b"").partition(b" ")[0]
    return _SCHEMES.get(named.lower(), "DPoP")


def _split(authorization: bytes) -> tuple[Scheme, bytes]:
    if len(authorization) > MAX_AUTHORIZATION_BYTES:
        raise InvalidRequest(Reason.AUTHORIZATION_TOO_LARGE, size=len(authorization), limit=MAX_AUTHORIZATION_BYTES)
    name, _, token = authorization.partition(b" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        raise _no_scheme(name)
    token = token.lstrip(b" ")
    # Nothing but equals signs may be left, all at the end and something before them.
    padding = token.translate(None, _TOKEN68)
    if len(padding) >= len(token) or padding != b"=" * len(padding) or not token.endswith(padding):
        raise InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return scheme, token


def _no_scheme(name: bytes) -> MissingCredentials | InvalidRequest:
    """Another scheme, or one of ours with something else than a space behind it."""
    scheme = _SCHEME.match(name)
    if scheme is not None and scheme[0].lower() in _SCHEMES:
        return InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return MissingCredentials(Reason.AUTHORIZATION_SCHEME)
