"""Signed access tokens (RFC 9068)."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from dpop_asgi.core import jose
from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.encoding import COMPACT_JWS, b64url_decode, strict_json_object
from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.jwks import RemoteKeys
from dpop_asgi.tokens.key_set import KeySet, StaticKeys

# RFC 9068 §2.1 wants RS256 supported, and most issuers sign with it. FAPI 2.0 §5.4.1 forbids it: give a list there.
_ALGORITHMS = ("ES256", "PS256", "RS256", "Ed25519", "EdDSA")

# RFC 9068 §4; its own examples write at+JWT, so case does not count.
_TYPES = frozenset({"at+jwt", "application/at+jwt"})

# Verified tokens that are remembered: about 2 KB each.
_CACHED_TOKENS = 4096

# Keys tried for a token without `kid`: each costs a signature check.
_MOST_CANDIDATES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedIssuer:
    """One issuer, with its own keys and the audience that its tokens must have.

    Attributes:
        issuer: `iss`, compared character by character.
        audience: one of these must be in `aud` (RFC 9068 §4).
        jwks_uri: where its keys are; without it its metadata is asked (RFC 8414, OpenID Connect Discovery).
        jwks: its keys, instead of an address.
        algorithms: accepted `alg` values.
    """

    issuer: str
    audience: str | tuple[str, ...]
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)
    algorithms: tuple[str, ...] = _ALGORITHMS

    def __post_init__(self) -> None:
        """Refuse what could never accept a token."""
        audience = (self.audience,) if isinstance(self.audience, str) else tuple(self.audience)
        if not all(audience) or not audience:
            msg = f"audience: {self.audience!r} names no audience"
            raise ValueError(msg)
        if not self.issuer:
            msg = f"issuer: {self.issuer!r} is not an issuer identifier"
            raise ValueError(msg)
        if self.jwks is not None and self.jwks_uri is not None:
            msg = "jwks: give jwks or jwks_uri, not both"
            raise ValueError(msg)
        object.__setattr__(self, "audience", audience)
        object.__setattr__(self, "algorithms", jose.check_algorithms("algorithms", self.algorithms))


@dataclass(frozen=True, slots=True)
class _Verified:
    token: AccessToken
    forget_at: float
    issuer: str
    keys: KeySet


class JWTVerifier:
    """Verifies signed access tokens by RFC 9068 §4.

    Args:
        issuer: the issuer that is trusted; with `audience`, `jwks_uri`, `jwks`, `algorithms` as in `TrustedIssuer`.
        audience: see there.
        jwks_uri: see there.
        jwks: see there.
        algorithms: see there.
        issuers: several issuers, instead of the arguments above.
        leeway: seconds by which `exp` may be past and `nbf` ahead (RFC 9068 §4).
        cache_seconds: how long a verified token is remembered, at most until it expires; 0 = not at all.
        clock: seconds since the epoch.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        audience: str | tuple[str, ...] | None = None,
        jwks_uri: str | None = None,
        jwks: Mapping[str, Any] | None = None,
        algorithms: tuple[str, ...] = _ALGORITHMS,
        issuers: Iterable[TrustedIssuer] = (),
        leeway: float = 5.0,
        cache_seconds: float = 300.0,
        clock: Clock = time.time,
    ) -> None:
        trusted = tuple(issuers)
        if bool(trusted) == (issuer is not None):
            msg = "issuer: give either one issuer, or a list in issuers"
            raise ValueError(msg)
        if issuer is not None:
            one = TrustedIssuer(
                issuer=issuer, audience=audience or (), jwks_uri=jwks_uri, jwks=jwks, algorithms=algorithms
            )
            trusted = (one,)
        if len({one.issuer for one in trusted}) != len(trusted):
            msg = "issuers: an issuer stands twice"
            raise ValueError(msg)
        for option, value in (("leeway", leeway), ("cache_seconds", cache_seconds)):
            if not 0 <= value < float("inf"):
                msg = f"{option}: {value!r} is not a number of seconds of at least 0"
                raise ValueError(msg)
        self._trusted = {one.issuer: one for one in trusted}
        self._sources = {one.issuer: _source(one, clock) for one in trusted}
        self._leeway = leeway
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()

    async def __call__(self, token: str, /) -> AccessToken:
        """See `dpop_asgi.core.ports.TokenVerifier`."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._recall(digest)
        if known is not None:
            return known
        header, claims, signing_input, signature = _parse(token)
        trusted, algorithm, kid = self._trust(header, claims)
        keys = await self._keys(trusted, algorithm, kid)
        # Of those who waited for the keys together, one verifies.
        known = self._recall(digest)
        if known is not None:
            return known
        keys = await self._verify_signature(keys, trusted, algorithm, kid, signing_input, signature)
        if not _audiences(claims) & set(trusted.audience):
            raise InvalidToken(Reason.TOKEN_AUDIENCE, expected=trusted.audience)
        if "exp" not in claims:
            raise InvalidToken(Reason.TOKEN_MALFORMED, claim="exp")
        access_token = AccessToken.from_claims(claims)
        now = self._clock()
        self._check_times(access_token, now)
        self._remember(digest, _Verified(access_token, now + self._cache_seconds, trusted.issuer, keys))
        return access_token

    def _trust(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> tuple[TrustedIssuer, str, str | None]:
        typ, algorithm, issuer, kid = header.get("typ"), header.get("alg"), claims.get("iss"), header.get("kid")
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise InvalidToken(Reason.TOKEN_TYPE)
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise InvalidToken(Reason.TOKEN_ISSUER, expected=tuple(self._trusted))
        if not isinstance(algorithm, str) or algorithm not in trusted.algorithms:
            raise InvalidToken(Reason.TOKEN_ALGORITHM, expected=trusted.algorithms)
        if header.keys() & {"crit", "b64"} or not (kid is None or isinstance(kid, str)):
            raise InvalidToken(Reason.TOKEN_MALFORMED)
        return trusted, algorithm, kid

    def _recall(self, digest: bytes) -> AccessToken | None:
        known, now = self._cache.get(digest), self._clock()
        if known is None or now >= known.forget_at or known.keys is not self._sources[known.issuer].current:
            return None
        self._check_times(known.token, now)
        return known.token

    async def _keys(self, trusted: TrustedIssuer, algorithm: str, kid: str | None) -> KeySet:
        source = self._sources[trusted.issuer]
        keys = await source.key_set()
        return keys if keys.candidates(algorithm, kid) else await source.key_set_for_unknown_key()

    async def _verify_signature(
        self,
        keys: KeySet,
        trusted: TrustedIssuer,
        algorithm: str,
        kid: str | None,
        signing_input: bytes,
        signature: bytes,
    ) -> KeySet:
        signed = _is_signed(keys.candidates(algorithm, kid), algorithm, signing_input, signature)
        if not signed and kid is None:
            keys = await self._sources[trusted.issuer].key_set_for_unknown_key()
            signed = _is_signed(keys.candidates(algorithm, kid), algorithm, signing_input, signature)
        if not signed:
            known = keys.candidates(algorithm, kid)
            raise InvalidToken(Reason.TOKEN_SIGNATURE if known else Reason.TOKEN_KEY_UNKNOWN)
        return keys

    def _check_times(self, token: AccessToken, now: float) -> None:
        not_before = token.claims.get("nbf")
        if token.expires_at is not None and now >= token.expires_at + self._leeway:
            raise InvalidToken(Reason.TOKEN_EXPIRED, exp=token.expires_at, now=now)
        if not_before is not None and now < not_before - self._leeway:
            raise InvalidToken(Reason.TOKEN_NOT_YET_VALID, nbf=not_before, now=now)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        if self._cache_seconds:
            self._cache[digest] = verified
            if len(self._cache) > _CACHED_TOKENS:
                self._cache.popitem(last=False)


def _source(trusted: TrustedIssuer, clock: Clock) -> RemoteKeys | StaticKeys:
    if trusted.jwks is not None:
        try:
            return StaticKeys(trusted.jwks)
        except ValueError as error:
            msg = f"jwks: {error}"
            raise ValueError(msg) from None
    return RemoteKeys(trusted.issuer, jwks_uri=trusted.jwks_uri, clock=clock)


def _parse(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, signing input and signature; nothing of it is verified."""
    try:
        raw = token.encode("ascii")
        if COMPACT_JWS.fullmatch(raw) is None:
            raise InvalidToken(Reason.TOKEN_MALFORMED)
        signing_input, _, signature = raw.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        return (
            strict_json_object(b64url_decode(header)),
            strict_json_object(b64url_decode(payload)),
            signing_input,
            b64url_decode(signature),
        )
    except (ValueError, RecursionError):
        raise InvalidToken(Reason.TOKEN_MALFORMED) from None


def _is_signed(keys: tuple[jose.PublicKey, ...], algorithm: str, signing_input: bytes, signature: bytes) -> bool:
    return any(key.verify(algorithm, signing_input, signature) for key in keys[:_MOST_CANDIDATES])


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    audience = claims.get("aud")
    names = audience if isinstance(audience, list) else [audience]
    return {name for name in names if isinstance(name, str)}
