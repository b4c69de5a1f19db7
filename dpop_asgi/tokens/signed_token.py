"""An access token as it was sent: a compact JWS with a JSON payload, not verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.encoding import b64url_decode, split_jws
from dpop_asgi.core.jwk import PublicKey
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.issuer.key_set import KeySet
from dpop_asgi.tokens.token_types import normal_type

# Enough for a list of names that fills a token of 16 KB. Parsing as many numbers takes as long as two signature checks.
_MOST_VALUES = 2000
# Enough for a token of 16 KB that is full of roles per client or of `authorization_details`: they have 700.
_MOST_OPENERS = 1000
# Far below the recursion limits of every supported Python, also for code that copies the claims.
_MOST_LEVELS = 128

# All tokens signed with one key have the same header. Long ones, such as those with a certificate chain, aren't cached,
# so the cache takes no more than 128 KB.
_CACHED_HEADERS = 64
_CACHED_HEADER_BYTES = 1024

# How many keys are tried for a token without `kid`: each costs a signature check.
MOST_CANDIDATES = 8

# Beside a `typ` of null, which counts as absent.
_NO_TYPE = object()

# `typ`, `alg` and `kid` by encoded header, for tokens whose signature was verified.
_headers: BoundedCache[bytes, tuple[str | None, str, str | None]] = BoundedCache(_CACHED_HEADERS)


@dataclass(slots=True)  # hot path: a frozen dataclass is slower to create
class SignedToken:
    """The parts of a token. `algorithm` is empty if the header lacks it.

    `typ` is in the form of `normal_type`: `None` if the header lacks it, empty if it is no string.
    """

    typ: str | None
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any] = field(repr=False)
    protected: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: str) -> Self:
        """Parse a token.

        Raises:
            InvalidToken: If it isn't a compact JWS, its header or payload isn't a strict JSON object, or its header
                has `crit` or `b64`, which aren't supported.
        """
        try:
            signing_input, protected, payload, signature = split_jws(token.encode("ascii"))
            header = _headers.get(protected) or _header(protected)
            claims = claims_object(b64url_decode(payload))
            return cls(*header, claims, protected, signing_input, b64url_decode(signature))
        except (ValueError, RecursionError):
            raise InvalidToken(Reason.TOKEN_MALFORMED) from None

    def candidates(self, keys: KeySet) -> list[PublicKey]:
        """The keys that match `alg` and `kid`."""
        return keys.candidates(self.algorithm, self.kid)

    def is_signed_by(self, candidates: list[PublicKey]) -> bool:
        """Whether one of these keys made the signature."""
        for key in candidates[:MOST_CANDIDATES]:
            if key.verify(self.algorithm, self.signing_input, self.signature):
                return True
        return False

    def remember_header(self) -> None:
        """Cache the header. Only once the signature is verified, or anyone could send headers that evict all others."""
        if self.protected not in _headers and len(self.protected) <= _CACHED_HEADER_BYTES:
            _headers.keep(self.protected, (self.typ, self.algorithm, self.kid))

    @property
    def audiences(self) -> set[str]:
        """The names in `aud`."""
        audience = self.claims.get("aud")
        names = audience if isinstance(audience, list) else [audience]
        return {name for name in names if isinstance(name, str)}


def claims_object(raw: bytes) -> dict[str, Any]:
    """The claims in a strict JSON object as issuers write them: up to 16 KB, with numbers of up to 1,000 digits.

    Raises:
        ValueError: If it isn't one.
    """
    return strict_json_object(
        raw, most_openers=_MOST_OPENERS, most_values=_MOST_VALUES, most_levels=_MOST_LEVELS, long_numbers=True
    )


def _header(protected: bytes) -> tuple[str | None, str, str | None]:
    header = strict_json_object(b64url_decode(protected))
    typ, algorithm, kid = header.get("typ", _NO_TYPE), header.get("alg"), header.get("kid")
    if not {"crit", "b64"}.isdisjoint(header) or not (kid is None or isinstance(kid, str)):
        raise InvalidToken(Reason.TOKEN_MALFORMED)
    typ = None if typ is _NO_TYPE else normal_type(typ) if isinstance(typ, str) else ""
    return typ, algorithm if isinstance(algorithm, str) else "", kid
