"""Opaque access tokens: the issuer is asked about them (RFC 7662, RFC 9449 §6.2)."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dpop_asgi.core.access_token import LEEWAY_SECONDS, AccessToken
from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.credentials import MAX_AUTHORIZATION_BYTES
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.options import one_or_more, require, require_seconds
from dpop_asgi.core.ports import Clock, Health
from dpop_asgi.errors import InvalidToken, IssuerUnavailable, Reason
from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.tokens.issuer.client_authentication import client_authentication
from dpop_asgi.tokens.issuer.discovery import insecure_hosts
from dpop_asgi.tokens.issuer.introspection_endpoint import MAX_CALLS, IntrospectionEndpoint
from dpop_asgi.tokens.token_types import check_kind, check_no_id_token, check_token_type

_READ_SECRETS = (
    "tokens and client_secret are sent to {} over plain http: anyone on the network path can read them and respond in"
    " its place"
)

# The number of answers to remember, about 2 KB each.
REMEMBERED_TOKENS = 4096

# How long a rejected token is remembered: one that is sent again and again costs a call per second. Longer, and a
# token that becomes valid, such as one that was replicated late, would be rejected although it is good.
_REJECTED_SECONDS = 1.0
_REJECTED_TOKENS = 1024

# Some calls are kept for tokens that were active before, so that whoever sends invented ones doesn't hold others up.
_CALLS_FOR_NEW_TOKENS = MAX_CALLS * 3 // 4
# 200 bytes each. Those of a busy hour.
_ACTIVE_TOKENS = 16_384


@dataclass(slots=True)  # hot path: a frozen dataclass is slower to create
class _Outcome:
    """A token, or why it is rejected, and from when until when that is remembered."""

    token: AccessToken | None
    rejection: tuple[Reason, Mapping[str, Any]] | None
    good_from: float
    good_until: float


class IntrospectionVerifier:
    """Verifies access tokens by asking the issuer about each (RFC 7662).

    The audience is checked if the response names one. If not, the endpoint has decided that the token is for this
    API: that is why the call is authenticated (RFC 7662 §4).

    Args:
        issuer: the issuer, whose metadata names the endpoint (RFC 8414); `iss` must be this, if the response has it.
        endpoint: the URL of the endpoint, instead of the metadata.
        client_id: this API as a client of the issuer.
        client_secret: its secret, sent by HTTP Basic (RFC 6749 §2.3.1).
        private_key: its private key as a JWK, instead: `private_key_jwt` (RFC 7523). It signs with its `alg`, by
            default ES256, PS256 or EdDSA.
        audience: one of these must be in `aud`, if the response has it.
        require_audience: whether tokens are rejected if the response has no `aud`.
        leeway: seconds by which `exp` may be past and `nbf` ahead.
        cache_seconds: how long a response is remembered, at most until `exp`: a revoked token is accepted for as long.
            0 asks again for each request, except for those that wait for a response about the same token.
        cached_tokens: the number of responses to remember, about 2 KB each.
        timeout: seconds that a request waits at most for the endpoint, discovery included.
        insecure_http_hosts: hosts, besides this machine, that may be called over plain http.
        clock: seconds since the epoch.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        endpoint: str | None = None,
        client_id: str,
        client_secret: str | None = None,
        private_key: Mapping[str, Any] | None = None,
        audience: str | Iterable[str],
        require_audience: bool = False,
        leeway: float = LEEWAY_SECONDS,
        cache_seconds: float = 30.0,
        cached_tokens: int = REMEMBERED_TOKENS,
        timeout: float = 3.0,
        insecure_http_hosts: Iterable[str] = (),
        clock: Clock = time.time,
    ) -> None:
        require("issuer", issuer if endpoint is None else issuer != "", "an issuer identifier, or endpoint a URL")
        audiences = one_or_more("audience", audience, "one or more audiences, none of them empty")
        require("require_audience", isinstance(require_audience, bool), "True or False")
        for option, value in {"leeway": leeway, "cache_seconds": cache_seconds}.items():
            require_seconds(option, value)
        require("cached_tokens", type(cached_tokens) is int and cached_tokens >= 0, "a whole number of at least 0")
        require_seconds("timeout", timeout, above_zero=True)
        self._endpoint = IntrospectionEndpoint(
            issuer,
            endpoint,
            authenticate=client_authentication(client_id, client_secret, private_key, clock=clock),
            timeout=timeout,
            insecure_http_hosts=insecure_hosts(insecure_http_hosts, _READ_SECRETS),
        )
        self.health: Callable[[], list[Health]] = self._endpoint.health  # see `dpop_asgi.core.ports.Monitored`
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._require_audience = require_audience
        self._leeway = leeway
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: BoundedCache[str, _Outcome] = BoundedCache(cached_tokens)
        # Apart, so that invented tokens don't push out good ones.
        self._rejected: BoundedCache[str, _Outcome] = BoundedCache(_REJECTED_TOKENS)
        # Of tokens that were active, whether or not answers are remembered: they are asked about first.
        self._active: BoundedCache[str, None] = BoundedCache(_ACTIVE_TOKENS)
        self._calls: dict[str, SingleFlight[_Outcome]] = {}

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuer's identifier, if it is given."""
        return () if self._issuer is None else (self._issuer,)

    @property
    def audiences(self) -> tuple[str, ...]:
        """Those of which one must be in `aud`."""
        return tuple(sorted(self._audiences))

    async def __call__(self, token: str, /) -> AccessToken:
        """See `dpop_asgi.core.ports.TokenVerifier`."""
        if not token.isascii() or len(token) > MAX_AUTHORIZATION_BYTES:
            raise InvalidToken(Reason.TOKEN_MALFORMED)
        token_hash = sha256_b64url(token)
        outcome = self._remembered(self._cache, token_hash) or self._remembered(self._rejected, token_hash)
        if outcome is None:
            outcome = await self._asked(token_hash, token)
        if outcome.token is not None:
            return outcome.token
        reason, facts = outcome.rejection or (Reason.TOKEN_INACTIVE, {})
        raise InvalidToken(reason, **facts)

    def cached_token(self, token_hash: str) -> AccessToken | None:
        """The token with this base64url SHA-256, if the endpoint was asked recently and it is still valid."""
        known = self._remembered(self._cache, token_hash)
        return None if known is None else known.token

    async def ready(self) -> None:
        """Find the endpoint, unless it is known. It isn't called.

        Raises:
            IssuerUnavailable: If the issuer's metadata cannot be fetched, or names no endpoint.
        """
        await self._endpoint.locate()

    async def aclose(self) -> None:
        """Close the connections to the endpoint. The next call opens new ones."""
        for call in list(self._calls.values()):
            await call.aclose()
        await self._endpoint.aclose()

    def _remembered(self, cache: BoundedCache[str, _Outcome], token_hash: str) -> _Outcome | None:
        known = cache.get(token_hash)
        return known if known is not None and known.good_from <= self._clock() < known.good_until else None

    async def _asked(self, token_hash: str, token: str) -> _Outcome:
        """Of the call that is under way about this token, or a new one."""
        call = self._calls.get(token_hash)
        if call is None or call.under_way() is None:
            self._admit(MAX_CALLS if token_hash in self._active else _CALLS_FOR_NEW_TOKENS)
            call = self._calls[token_hash] = SingleFlight(self._ask)
        task = call.start(token_hash, token)
        await asyncio.wait([task])
        if task.cancelled():
            raise IssuerUnavailable("introspection: the verifier was closed")
        return task.result()

    def _admit(self, most: int) -> None:
        if len(self._calls) >= most:
            # Those of an event loop that is closed never end.
            self._calls = {token_hash: call for token_hash, call in self._calls.items() if call.under_way()}
        if len(self._calls) >= most:
            raise self._endpoint.complaint(f"{most} calls are under way, and no more are made at a time")

    async def _ask(self, token_hash: str, token: str) -> _Outcome:
        asked_at = self._clock()
        try:
            answer = await self._endpoint.ask(token)
        finally:
            self._calls.pop(token_hash, None)
        outcome = self._judged(answer, asked_at)
        if outcome.token is None:
            # If the clock is set back, an older answer would count again.
            self._cache.pop(token_hash, None)
        else:
            self._active.keep(token_hash, None)
        if self._cache_seconds:
            cache = self._cache if outcome.token else self._rejected
            cache.keep(token_hash, outcome)
        return outcome

    def _judged(self, answer: dict[str, Any], asked_at: float) -> _Outcome:
        now = self._clock()
        try:
            token = self._token_in(answer, now)
        except InvalidToken as rejection:
            reason, facts = rejection.reason, rejection.facts
        else:
            expires_at = math.inf if token.expires_at is None else token.expires_at
            return _Outcome(token, None, asked_at, min(expires_at, asked_at + self._cache_seconds))
        if reason is Reason.TOKEN_MALFORMED:
            raise self._endpoint.complaint(f"the {facts.get('claim', 'content')} in its response is malformed")
        return _Outcome(None, (reason, facts), asked_at, now + min(_REJECTED_SECONDS, self._cache_seconds))

    def _token_in(self, answer: dict[str, Any], now: float) -> AccessToken:
        active = answer.pop("active", None)
        if active is not True:
            # RFC 7662 §2.2: it is required, and a boolean.
            raise InvalidToken(Reason.TOKEN_INACTIVE, **({} if active is False else {"active": "not true or false"}))
        check_kind(answer)
        issuer = answer.get("iss")
        if issuer is not None and self._issuer not in (None, issuer):
            raise InvalidToken(Reason.TOKEN_ISSUER, expected=(self._issuer,))
        self._check_audience(answer.get("aud"))
        token = AccessToken.from_claims(answer, leeway=self._leeway)
        check_token_type(token)
        if token.key_thumbprint is None:
            check_no_id_token(answer, None)
        not_before = answer.get("nbf")
        if now >= token.good_until:
            raise InvalidToken(Reason.TOKEN_EXPIRED, exp=token.expires_at, now=now)
        if not_before is not None and now < not_before - self._leeway:
            raise InvalidToken(Reason.TOKEN_NOT_YET_VALID, nbf=not_before, now=now)
        return token

    def _check_audience(self, named: object) -> None:
        names = named if isinstance(named, list) else [named]
        is_given = named is not None and names != []
        fits = not self._audiences.isdisjoint(name for name in names if isinstance(name, str))
        if not fits and (is_given or self._require_audience):
            raise InvalidToken(Reason.TOKEN_AUDIENCE, expected=tuple(sorted(self._audiences)), given=is_given)
