"""Signed access tokens (RFC 9068)."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dpop_asgi.core import jwk
from dpop_asgi.core.access_token import LEEWAY_SECONDS, AccessToken
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.options import host_names, require
from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.issuer.key_set import KeySet, StaticKeys
from dpop_asgi.tokens.issuer.remote_keys import RemoteKeys
from dpop_asgi.tokens.signed_token import SignedToken

logger: logging.Logger = logging.getLogger("dpop_asgi")

# RFC 9068 §2.1 wants RS256 supported, and most issuers sign with it. FAPI 2.0 §5.4.1 forbids it: give a list there.
_ALGORITHMS = ("ES256", "PS256", "RS256", "Ed25519", "EdDSA")

# RFC 9068 §4; its own examples write at+JWT, so case does not count.
_TYPES = frozenset({"at+jwt", "application/at+jwt"})

# Verified tokens that are remembered: about 2 KB each.
CACHED_TOKENS = 4096


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
        require("audience", audience and all(audience), "the name of an audience, or several, none of them empty")
        require("issuer", self.issuer, "an issuer identifier, not empty")
        require("jwks", self.jwks is None or self.jwks_uri is None, "given without jwks_uri")
        object.__setattr__(self, "audience", audience)
        object.__setattr__(self, "algorithms", jwk.check_algorithms("algorithms", self.algorithms))


@dataclass(slots=True)  # not frozen: see Situation
class _Verified:
    token: AccessToken
    good_from: float
    good_until: float
    source: RemoteKeys | StaticKeys
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
        cached_tokens: so many of them, about 2 KB each; others cost one signature check per request.
        timeout: seconds that a request waits at most while an issuer's keys are looked up, discovery included.
        max_stale_seconds: how long keys are used, after they should have been fetched anew, while their issuer is away.
        insecure_http_hosts: hosts whose keys are believed over plain http, besides this machine; for networks in which
            nobody else can answer for them, like that of a compose file.
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
        leeway: float = LEEWAY_SECONDS,
        cache_seconds: float = 300.0,
        cached_tokens: int = CACHED_TOKENS,
        timeout: float = 3.0,
        max_stale_seconds: float = 86_400.0,
        insecure_http_hosts: Iterable[str] = (),
        clock: Clock = time.time,
    ) -> None:
        one = {"issuer": issuer, "audience": audience or (), "jwks_uri": jwks_uri, "jwks": jwks}
        trusted = _trusted(tuple(issuers), {**one, "algorithms": algorithms})
        not_negative = {"leeway": leeway, "cache_seconds": cache_seconds, "max_stale_seconds": max_stale_seconds}
        for option, value in not_negative.items():
            require(option, 0 <= value < math.inf, "a number of seconds of at least 0")
        require("cached_tokens", type(cached_tokens) is int and cached_tokens >= 0, "a whole number of at least 0")
        require("timeout", 0 < timeout < math.inf, "a number of seconds above 0")
        hosts = _warned_of(insecure_http_hosts)
        source = partial(
            _source, timeout=timeout, max_stale_seconds=max_stale_seconds, insecure_http_hosts=hosts, clock=clock
        )
        self._trusted = {one.issuer: one for one in trusted}
        self._sources = {one.issuer: source(one) for one in trusted}
        self._leeway = leeway
        self._cache_seconds = cache_seconds
        self._cached_tokens = cached_tokens
        self._clock = clock
        self._cache: OrderedDict[str, _Verified] = OrderedDict()

    async def __call__(self, token: str, /) -> AccessToken:
        """See `dpop_asgi.core.ports.TokenVerifier`."""
        token_hash = sha256_b64url(token.encode("utf-8", "surrogatepass"))
        known = self.cached_token(token_hash)
        if known is not None:
            return known
        signed = SignedToken.parse(token)
        trusted = self._trust(signed)
        source = self._sources[trusted.issuer]
        keys = source.current(self._clock())
        candidates = signed.candidates(keys) if keys is not None else []
        if keys is None or not candidates:
            keys = await _keys_for(signed, source)
            # Of those who waited for the keys together, one verifies.
            known = self.cached_token(token_hash)
            if known is not None:
                return known
            candidates = signed.candidates(keys)
        if not signed.is_signed_by(candidates):
            keys = await _keys_that_signed(signed, source, keys)
        signed.remember_header()
        access_token = _access_token(signed, trusted, self._leeway)
        good_from, good_until = self._check_times(access_token)
        self._remember(token_hash, _Verified(access_token, good_from, good_until, source, keys))
        return access_token

    def cached_token(self, token_hash: str) -> AccessToken | None:
        """The token with this base64url SHA-256, if it was verified a short while ago and still holds."""
        known, now = self._cache.get(token_hash), self._clock()
        if known is None or not known.good_from <= now < known.good_until:
            return None
        return known.token if known.keys is known.source.current(now) else None

    async def ready(self) -> None:
        """Load the keys of every issuer whose keys are not known yet: for readiness probes, and to start up warm.

        Raises:
            IssuerUnavailable: naming an issuer whose keys cannot be had.
        """
        await asyncio.gather(*(source.key_set() for source in self._sources.values()))

    def _trust(self, signed: SignedToken) -> TrustedIssuer:
        issuer = signed.claims.get("iss")
        if signed.typ not in _TYPES:
            raise InvalidToken(Reason.TOKEN_TYPE)
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise InvalidToken(Reason.TOKEN_ISSUER, expected=tuple(self._trusted))
        if signed.algorithm not in trusted.algorithms:
            raise InvalidToken(Reason.TOKEN_ALGORITHM, expected=trusted.algorithms)
        return trusted

    def _check_times(self, token: AccessToken) -> tuple[float, float]:
        """From when and until when the token may be recalled."""
        now = self._clock()
        good_from = token.claims.get("nbf", -math.inf) - self._leeway
        if now >= token.good_until:
            raise InvalidToken(Reason.TOKEN_EXPIRED, exp=token.expires_at, now=now)
        if now < good_from:
            raise InvalidToken(Reason.TOKEN_NOT_YET_VALID, nbf=token.claims["nbf"], now=now)
        return good_from, min(token.good_until, now + self._cache_seconds)

    def _remember(self, token_hash: str, verified: _Verified) -> None:
        if self._cache_seconds:
            self._cache[token_hash] = verified
            if len(self._cache) > self._cached_tokens:
                self._cache.popitem(last=False)


def _trusted(several: tuple[TrustedIssuer, ...], one: Mapping[str, Any]) -> tuple[TrustedIssuer, ...]:
    require("issuer", bool(several) != (one["issuer"] is not None), "one issuer, or a list in issuers instead")
    require("issuers", len({each.issuer for each in several}) == len(several), "different from each other")
    return several or (TrustedIssuer(**one),)


def _warned_of(hosts: Iterable[str]) -> frozenset[str]:
    names = host_names("insecure_http_hosts", hosts)
    if names:
        logger.warning(
            "insecure_http_hosts: keys of %s are believed over plain http: whoever can answer in its place there can "
            "sign tokens",
            ", ".join(sorted(names)),
        )
    return names


def _source(trusted: TrustedIssuer, **options: Any) -> RemoteKeys | StaticKeys:  # noqa: ANN401 - of RemoteKeys
    if trusted.jwks is not None:
        try:
            return StaticKeys(trusted.jwks)
        except ValueError as error:
            msg = f"jwks: {error}"
            raise ValueError(msg) from None
    return RemoteKeys(trusted.issuer, jwks_uri=trusted.jwks_uri, **options)


async def _keys_for(signed: SignedToken, source: RemoteKeys | StaticKeys) -> KeySet:
    keys = await source.key_set()
    return keys if signed.candidates(keys) else await source.key_set_for_unknown_key()


async def _keys_that_signed(signed: SignedToken, source: RemoteKeys | StaticKeys, keys: KeySet) -> KeySet:
    """Without `kid` it may be one that is not known yet."""
    if signed.kid is None:
        newer = await source.key_set_for_unknown_key()
        if newer is not keys and signed.is_signed_by(signed.candidates(newer)):
            return newer
    raise InvalidToken(Reason.TOKEN_SIGNATURE if signed.candidates(keys) else Reason.TOKEN_KEY_UNKNOWN)


def _access_token(signed: SignedToken, trusted: TrustedIssuer, leeway: float) -> AccessToken:
    if signed.audiences.isdisjoint(trusted.audience):
        raise InvalidToken(Reason.TOKEN_AUDIENCE, expected=trusted.audience)
    if "exp" not in signed.claims:
        raise InvalidToken(Reason.TOKEN_MALFORMED, claim="exp")
    return AccessToken.from_claims(signed.claims, leeway=leeway)
