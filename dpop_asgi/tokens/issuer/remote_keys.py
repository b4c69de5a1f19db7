"""The issuer's keys: fetched once for all who wait, kept while it is away, but not trusted for ever."""

import asyncio
import logging
import math
from collections.abc import Collection

import httpx2

from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import IssuerUnavailable
from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.tokens.issuer.discovery import check_address, fetch_keys, tls
from dpop_asgi.tokens.issuer.key_set import KeySet

logger: logging.Logger = logging.getLogger("dpop_asgi")

# The issuer is asked again at most this often: anybody can invent a `kid`.
_COOL_DOWN_SECONDS = 10.0

# While requests have to be answered 503 for want of it, somewhat more often: as their `Retry-After` says.
_RETRY_SECONDS = 1.0

# After so long without a look, a process that was idle looks first: a key may have been withdrawn meanwhile.
_IDLE_SECONDS = 300.0


class RemoteKeys:
    """The keys behind an issuer's metadata, or behind `jwks_uri`.

    Args:
        issuer: who is asked.
        jwks_uri: where its keys are, when its metadata need not be asked.
        timeout: seconds for a whole look-up, discovery included. Nobody waits for longer.
        max_stale_seconds: for so long after their freshness has ended keys are used while the issuer is away.
        insecure_http_hosts: hosts that are believed over plain http, besides this machine.
        clock: seconds since the epoch.

    Raises:
        ValueError: naming the option whose address must not be believed, or that no certificates can be read.
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None,
        timeout: float,
        max_stale_seconds: float,
        insecure_http_hosts: Collection[str],
        clock: Clock,
    ) -> None:
        option = "issuer" if jwks_uri is None else "jwks_uri"
        check_address(option, jwks_uri or issuer, insecure_http_hosts=insecure_http_hosts)
        tls()
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._timeout = timeout
        self._max_stale_seconds = max_stale_seconds
        self._insecure_http_hosts = insecure_http_hosts
        self._clock = clock
        self._known: KeySet | None = None
        self._fresh_from = self._stale_at = self._asked_at = -math.inf
        # It never fails: what came of it is in `_failure`.
        self.fetching: SingleFlight[None] = SingleFlight(self._fetch)
        self._failure: str | None = None
        self._degraded_state: str | None = None

    def current(self, now: float) -> KeySet | None:
        """The keys that may be used at once; when they are stale, a refresh is started and nobody waits for it.

        `None` when there are none, or none that may be trusted before the issuer was asked.
        """
        if self._known is None or self._fresh_from <= now < self._stale_at:
            return self._known
        if self._is_too_old(now) or now - max(self._stale_at, self._asked_at) >= _IDLE_SECONDS:
            return None
        if self._is_due(_COOL_DOWN_SECONDS):
            self.fetching.start()
        return self._known

    async def key_set(self) -> KeySet:
        """The keys as far as they are known.

        Raises:
            IssuerUnavailable: none are known, or they are too old, and they cannot be fetched now.
        """
        keys = self.current(self._clock())
        if keys is None:
            await self._look()
            keys = self.current(self._clock())
        if keys is None:
            raise self._unavailable()
        return keys

    async def key_set_for_unknown_key(self) -> KeySet:
        """The keys after the issuer was asked again, if that is due: it may have rotated them.

        Raises:
            IssuerUnavailable: it cannot be asked, so nobody can tell whether the key is one of its own.
        """
        await self._look()
        if self._failure is not None:
            raise self._unavailable()
        return await self.key_set()

    async def _look(self) -> None:
        """Wait for the fetch that is under way, or for a new one when that is due."""
        pause = _COOL_DOWN_SECONDS if self._failure is None else _RETRY_SECONDS
        if self.fetching.under_way() is not None or self._is_due(pause):
            await asyncio.wait([self.fetching.start()])

    def _is_due(self, pause: float) -> bool:
        return not 0 <= self._clock() - self._asked_at < pause

    def _is_too_old(self, now: float) -> bool:
        return now >= self._stale_at + self._max_stale_seconds

    def _unavailable(self) -> IssuerUnavailable:
        return IssuerUnavailable(self._failure or f"the keys of {self._issuer} are not known yet")

    async def _fetch(self) -> None:
        try:
            keys, fresh_seconds = await fetch_keys(
                self._issuer,
                self._jwks_uri,
                insecure_http_hosts=self._insecure_http_hosts,
                seconds=self._timeout,
            )
        except Exception as error:  # noqa: BLE001 - whatever an issuer's answer does to the libraries below: 503
            self._note_failure(error)
        else:
            self._keep(keys, fresh_seconds)
        # Not from when it was asked: an issuer that hangs has used that time up.
        self._asked_at = self._clock()

    def _keep(self, keys: KeySet, fresh_seconds: float) -> None:
        # The same object as long as nothing changed: verified tokens are remembered with it.
        if self._known is None or self._known.keys != keys.keys:
            self._known = keys
        self._fresh_from = self._clock()
        self._stale_at = self._fresh_from + fresh_seconds
        if self._failure is not None:
            logger.warning("the keys of %s can be fetched again", self._issuer)
        self._failure = self._degraded_state = None

    def _note_failure(self, error: Exception) -> None:
        """Remember it; log it when it changes what requests can expect."""
        self._failure = f"the keys of {self._issuer} cannot be fetched: {self._cause(error)}"
        if self._known is None:
            outlook = "none are known, so its tokens are answered with 503"
        elif self._is_too_old(self._clock()):
            outlook = "those that are known are too old, so its tokens are answered with 503"
        else:
            outlook = "going on with the keys that are known"
        if outlook != self._degraded_state:
            logger.warning("%s; %s", self._failure, outlook)
        self._degraded_state = outlook

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return f"no answer in time (timeout: {self._timeout:g} s)"
        # What was no HTTP stands in the message, which is not ours to log.
        quotes_the_answer = isinstance(error, httpx2.ProtocolError)
        return type(error).__name__ if quotes_the_answer else str(error) or type(error).__name__
