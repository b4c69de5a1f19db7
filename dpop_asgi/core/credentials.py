"""The incoming request as data: exactly one token, exactly one proof."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dpop_asgi.core.caller import Caller
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.htu import has_dot_segments, normalise
from dpop_asgi.core.options import closed_if_coroutine
from dpop_asgi.core.policy import Scheme
from dpop_asgi.core.ports import Store
from dpop_asgi.errors import InvalidProof, InvalidRequest, MissingCredentials, Reason

# RFC 9110 §11.4 and RFC 9449 §7.1: scheme, one or more spaces, one token68.
_SCHEME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

# Signed tokens with many claims have some 4 KB; common servers accept 8 to 64 KB for all headers together.
MAX_AUTHORIZATION_BYTES = 16384

_SCHEMES: dict[bytes, Scheme] = {b"dpop": "DPoP", b"bearer": "Bearer"}


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a proof, for the authenticators of a request that record it one after the other.

    Attributes:
        value: what they write to their stores. Where two of them write to the same key, it tells this use from another.
        store: of the authenticator that was the first.
        incarnation: of that store, under which the nonce was agreed; `None` without a fence.
    """

    value: str
    store: Store = field(repr=False)
    incarnation: str | None


@dataclass(slots=True)  # hot path: a frozen one takes longer to make
class IncomingRequest:
    """What the decision needs to know about a request.

    Attributes:
        method: as sent (`GET` for a WebSocket handshake).
        target_uri: the absolute URI of the request, or a function that returns it and may reject the request.
        headers: as in ASGI: lower-case names, every occurrence.
        websocket: whether it is a WebSocket handshake.
        outer_caller: the caller, if another authenticator has accepted the same request: its nonce isn't checked again,
            and its proof is recorded only if that authenticator couldn't, or if there is a `use`.
        use: of its proof, as far as an authenticator has recorded it that accepts proofs unrecorded while its store is
            unavailable. Those inside record it too: they would accept the same proof again then.
        client_id: of its token, once that is verified.
    """

    method: str
    target_uri: str | Callable[[], str] = field(repr=False)
    headers: Iterable[tuple[bytes, bytes]] = field(repr=False)
    websocket: bool = False
    outer_caller: Caller | None = None
    use: Use | None = None
    client_id: str | None = None

    def resolved_uri(self) -> str:
        """The target URI in normal form. It replaces `target_uri`, which can't change after it was checked.

        Raises:
            InvalidRequest: If there is no such URI, if this server doesn't serve it, or if it has dot segments: routers
                keep them and normal forms don't, so the request would reach another resource than the signed one.
            TypeError: If the function doesn't return a string.
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


@dataclass(slots=True)  # hot path: a frozen one takes longer to make
class Credentials:
    """One access token as sent, under one scheme, and the `DPoP` headers."""

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
            InvalidProof: If there isn't exactly one.
        """
        return only_proof(self.proofs)


def only_proof(proofs: list[bytes]) -> bytes:
    """The one proof among the `DPoP` headers of a request (RFC 9449 §4.3 item 1).

    Raises:
        InvalidProof: If there isn't exactly one.
    """
    if len(proofs) != 1:
        raise InvalidProof(Reason.PROOF_REPEATED if proofs else Reason.PROOF_MISSING)
    return proofs[0]


def read_credentials(headers: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """The access token of a request (RFC 9449 §7.1, RFC 6750 §2.1); never from query or body.

    Raises:
        MissingCredentials: If there is no `Authorization` header, or its scheme is neither DPoP nor Bearer.
        InvalidRequest: If there is more than one, or it isn't a scheme and a token68.
    """
    tokens, proofs = [], []
    for name, value in headers:
        if name == b"authorization":
            tokens.append(value)
        elif name == b"dpop":
            proofs.append(value)
    if not tokens:
        raise MissingCredentials(Reason.AUTHORIZATION_MISSING, proofs=len(proofs))
    if len(tokens) > 1:
        raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
    scheme, token = _split(tokens[0])
    return Credentials(scheme, token, proofs)


def has_credentials(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether credentials were sent that are accepted or rejected, rather than missing."""
    try:
        read_credentials(headers)
    except MissingCredentials:
        return False
    except InvalidRequest:
        return True
    return True


def scheme_of(headers: Iterable[tuple[bytes, bytes]]) -> Scheme:
    """The scheme under which the access token was sent, or DPoP if that is unclear."""
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
    # Only equals signs may be left, all at the end and after something else.
    padding = token.translate(None, _TOKEN68)
    if len(padding) >= len(token) or padding != b"=" * len(padding) or not token.endswith(padding):
        raise InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return scheme, token


def _no_scheme(name: bytes) -> MissingCredentials | InvalidRequest:
    """An unsupported scheme, or a supported one that isn't followed by a space."""
    scheme = _SCHEME.match(name)
    if scheme is not None and scheme[0].lower() in _SCHEMES:
        return InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return MissingCredentials(Reason.AUTHORIZATION_SCHEME)
