"""Signed access tokens (RFC 9068)."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dpop_asgi.core.access_token import LEEWAY_SECONDS, AccessToken, malformed
from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.options import require, require_clock, require_seconds
from dpop_asgi.core.ports import Clock, Health
from dpop_asgi.core.strict_json import shown
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.issuer.discovery import insecure_hosts
from dpop_asgi.tokens.issuer.key_set import KeySet, StaticKeys
from dpop_asgi.tokens.issuer.remote_keys import RemoteKeys
from dpop_asgi.tokens.signed_token import MOST_CANDIDATES, SignedToken
from dpop_asgi.tokens.token_types import DEFAULT_TYPES, check_bound_unless_typed, check_no_id_token, wrong_type
from dpop_asgi.tokens.trusted_issuer import DEFAULT_ALGORITHMS, TrustedIssuer, trusted_issuers
from dpop_asgi.verifier import all_ready

_FORGED_KEYS = "keys of {} are fetched over plain http: anyone who can respond in its place can sign tokens"

# Of the audiences of a token that is for others, in the log.
_SHOWN_AUDIENCES = 3

# The number of verified tokens to cache, about 2 KB each.
CACHED_TOKENS = 4096


@dataclass(slots=True)  # hot path: a frozen dataclass is slower to create
class _Verified:
    token: AccessToken
    good_from: float
    good_until: float
    source: RemoteKeys | StaticKeys
    keys: KeySet


class JWTVerifier:
    """Verifies signed access tokens by RFC 9068 §4.

    Args:
        issuer: the trusted issuer; together with the next five, it is the same as one `TrustedIssuer`.
        audience: see `TrustedIssuer`.
        jwks_uri: see `TrustedIssuer`.
        jwks: see `TrustedIssuer`.
        algorithms: see `TrustedIssuer`.
        types: see `TrustedIssuer`.
        issuers: several issuers, instead of the arguments above.
        leeway: seconds by which `exp` may be past and `nbf` ahead (RFC 9068 §4).
        cache_seconds: how long a verified token is cached, at most until it expires; 0 disables the cache.
        cached_tokens: the number of tokens to cache, about 2 KB each; others need a signature check per request.
        timeout: seconds that a request waits at most for an issuer's keys, discovery included.
        max_stale_seconds: how long stale keys are used while their issuer is unavailable.
        insecure_http_hosts: hosts, besides this machine, whose keys may be fetched over plain http. For networks in
            which no one else can respond in their place, such as that of a compose file.
        clock: seconds since the epoch.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        audience: str | Iterable[str] | None = None,
        jwks_uri: str | None = None,
        jwks: Mapping[str, Any] | None = None,
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        types: Iterable[str | None] = DEFAULT_TYPES,
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
        trusted = trusted_issuers(issuers, {**one, "algorithms": algorithms, "types": types})
        not_negative = {"leeway": leeway, "cache_seconds": cache_seconds, "max_stale_seconds": max_stale_seconds}
        for option, value in not_negative.items():
            require_seconds(option, value)
        require("cached_tokens", type(cached_tokens) is int and cached_tokens >= 0, "a whole number of at least 0")
        require_seconds("timeout", timeout, above_zero=True)
        require_clock(clock)
        hosts = insecure_hosts(insecure_http_hosts, _FORGED_KEYS)
        source = partial(
            _source, timeout=timeout, max_stale_seconds=max_stale_seconds, insecure_http_hosts=hosts, clock=clock
        )
        self._trusted = {each.issuer: each for each in trusted}
        self._sources = {each.issuer: source(each) for each in trusted}
        self._leeway = leeway
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: BoundedCache[str, _Verified] = BoundedCache(cached_tokens)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The identifiers of the trusted issuers."""
        return tuple(self._trusted)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences of all issuers."""
        return tuple(dict.fromkeys(name for trusted in self._trusted.values() for name in trusted.audience))

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`: one for each issuer whose keys were fetched."""
        return [health for source in self._sources.values() for health in source.health()]

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
            # Of the requests that waited for the keys together, only one verifies the token.
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
        """The token with this base64url SHA-256, if it was verified recently and is still valid."""
        known, now = self._cache.get(token_hash), self._clock()
        if known is None or not known.good_from <= now < known.good_until:
            return None
        return known.token if known.keys is known.source.current(now) else None

    async def ready(self) -> None:
        """Fetch the keys of every issuer, unless they are known: for readiness probes, and a warm start.

        Raises:
            IssuerUnavailable: If keys cannot be fetched; the message names their issuers.
        """
        await all_ready(source.key_set(quiet=True) for source in self._sources.values())

    async def aclose(self) -> None:
        """End fetches of keys that are under way."""
        for source in self._sources.values():
            await source.aclose()

    def _trust(self, signed: SignedToken) -> TrustedIssuer:
        issuer = signed.claims.get("iss")
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise InvalidToken(Reason.TOKEN_ISSUER, expected=tuple(self._trusted), received=shown(issuer))
        if signed.typ not in trusted.types:
            raise wrong_type(signed.typ, trusted.types)
        if signed.algorithm not in trusted.algorithms:
            raise InvalidToken(Reason.TOKEN_ALGORITHM, expected=trusted.algorithms, received=shown(signed.algorithm))
        return trusted

    def _check_times(self, token: AccessToken) -> tuple[float, float]:
        """From when until when the token may be served from the cache."""
        now, not_before = self._clock(), token.claims.get("nbf")
        good_from = -math.inf if not_before is None else not_before - self._leeway
        if now >= token.good_until:
            raise InvalidToken(Reason.TOKEN_EXPIRED, exp=token.expires_at, now=now)
        if now < good_from:
            raise InvalidToken(Reason.TOKEN_NOT_YET_VALID, nbf=not_before, now=now)
        return good_from, min(token.good_until, now + self._cache_seconds)

    def _remember(self, token_hash: str, verified: _Verified) -> None:
        if self._cache_seconds:
            self._cache.keep(token_hash, verified)


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
    """Without a `kid`, the token may be signed with a key that isn't known yet."""
    if signed.kid is None:
        newer = await source.key_set_for_unknown_key()
        if newer is not keys and signed.is_signed_by(signed.candidates(newer)):
            return newer
    number = len(signed.candidates(keys))
    if number == 0:
        raise InvalidToken(Reason.TOKEN_KEY_UNKNOWN, kid=shown(signed.kid), alg=signed.algorithm)
    untried = {"keys": number, "tried": MOST_CANDIDATES} if number > MOST_CANDIDATES else {}
    raise InvalidToken(Reason.TOKEN_SIGNATURE, **untried)


def _access_token(signed: SignedToken, trusted: TrustedIssuer, leeway: float) -> AccessToken:
    check_no_id_token(signed.claims, signed.typ)
    if signed.audiences.isdisjoint(trusted.audience):
        raise InvalidToken(Reason.TOKEN_AUDIENCE, expected=trusted.audience, received=_shown_audience(signed))
    if signed.claims.get("exp") is None:
        raise malformed("exp", None, expected="a number: a token must expire")
    token = AccessToken.from_claims(signed.claims, leeway=leeway)
    check_bound_unless_typed(token, signed.typ)
    return token


def _shown_audience(signed: SignedToken) -> tuple[str | None, ...]:
    """The first few: a token of 16 KB may have hundreds."""
    return tuple(shown(name) for name in sorted(signed.audiences)[:_SHOWN_AUDIENCES])
