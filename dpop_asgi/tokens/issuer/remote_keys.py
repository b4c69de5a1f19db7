"""The issuer's keys: fetched once for concurrent requests, and kept during an outage for a limited time."""

import asyncio
import math
from collections.abc import Collection

from dpop_asgi.core.ports import Clock, Health
from dpop_asgi.errors import IssuerUnavailable
from dpop_asgi.log import logger
from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.tokens.issuer.discovery import Observe, check_address, fetch_keys
from dpop_asgi.tokens.issuer.http import cause_of, tls
from dpop_asgi.tokens.issuer.key_set import KeySet

# Keys are fetched at most this often: anyone can invent a `kid`.
_COOL_DOWN_SECONDS = 10.0

# More often while requests get a 503 because of it: as often as `Retry-After` says.
_RETRY_SECONDS = 1.0

# A process that was idle for this long fetches the keys before it uses them: one may have been revoked in the meantime.
_IDLE_SECONDS = 300.0


class RemoteKeys:
    """The keys that an issuer publishes, found through its metadata or at `jwks_uri`.

    Args:
        issuer: the issuer identifier.
        jwks_uri: the URL of its keys, instead of the one in its metadata.
        timeout: seconds for a whole fetch, discovery included. No request waits longer.
        max_stale_seconds: how long stale keys are used while the issuer is unavailable.
        insecure_http_hosts: hosts, besides this machine, whose keys may be fetched over plain http.
        clock: seconds since the epoch.
        observe: called with each document that is fetched.

    Raises:
        ValueError: If a URL is not allowed, in which case the message names its option, or the certificate store
            cannot be read.
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
        observe: Observe | None = None,
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
        self._observe = observe
        self._known: KeySet | None = None
        self._fresh_from = self._stale_at = self._fetched_at = -math.inf
        # It never raises: the error is in `_failure`.
        self.fetching: SingleFlight[None] = SingleFlight(self._fetch)
        self._failure: str | None = None
        self._degraded_state: str | None = None

    def current(self, now: float) -> KeySet | None:
        """The keys that may be used right now. If they are stale, a refresh starts in the background.

        `None` if no keys are known, or if they must be fetched again before they may be used.
        """
        if self._known is None or self._fresh_from <= now < self._stale_at:
            return self._known
        if self._is_too_old(now) or now - max(self._stale_at, self._fetched_at) >= _IDLE_SECONDS:
            return None
        if self._is_due(_COOL_DOWN_SECONDS):
            self.fetching.start()
        return self._known

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`: whether the last fetch succeeded. Known keys remain in use if not."""
        age = None if self._known is None else self._clock() - self._fresh_from
        was_fetched = self._fetched_at > -math.inf
        return [Health("issuer", self._issuer, self._failure is None, age)] if was_fetched else []

    async def key_set(self, *, quiet: bool = False) -> KeySet:
        """The known keys, fetched first if necessary.

        Args:
            quiet: whether the caller reports the error, so that it isn't logged as affecting requests.

        Raises:
            IssuerUnavailable: If no keys are known, or they are too old, and they cannot be fetched now.
        """
        keys = self.current(self._clock())
        if keys is None:
            await self._refresh(quiet=quiet)
            keys = self.current(self._clock())
        if keys is None:
            raise self._unavailable()
        return keys

    async def key_set_for_unknown_key(self) -> KeySet:
        """The keys, fetched again if that is due: the issuer may have rotated them.

        Raises:
            IssuerUnavailable: If they cannot be fetched, so there is no telling whether the key is the issuer's.
        """
        await self._refresh()
        if self._failure is not None:
            raise self._unavailable()
        return await self.key_set()

    async def aclose(self) -> None:
        """End the fetch in progress. Another app may be waiting for it, which then starts its own."""
        await self.fetching.aclose()

    async def _refresh(self, *, quiet: bool = False) -> None:
        """Wait for the fetch in progress, or for a new one if that is due."""
        pause = _COOL_DOWN_SECONDS if self._failure is None else _RETRY_SECONDS
        fetch = None
        while (fetch is None or fetch.cancelled()) and (self.fetching.under_way() or self._is_due(pause)):
            fetch = self.fetching.start(quiet)
            await asyncio.wait([fetch])

    def _is_due(self, pause: float) -> bool:
        return not 0 <= self._clock() - self._fetched_at < pause

    def _is_too_old(self, now: float) -> bool:
        return now >= self._stale_at + self._max_stale_seconds

    def _unavailable(self) -> IssuerUnavailable:
        return IssuerUnavailable(self._failure or f"the keys of {self._issuer} are not known yet")

    async def _fetch(self, quiet: bool = False) -> None:  # noqa: FBT001, FBT002 - passed on by SingleFlight
        try:
            keys, fresh_seconds = await fetch_keys(
                self._issuer,
                self._jwks_uri,
                insecure_http_hosts=self._insecure_http_hosts,
                seconds=self._timeout,
                observe=self._observe,
            )
        except Exception as error:  # noqa: BLE001 - whatever an issuer's response triggers in a library becomes a 503
            self._note_failure(error, quiet=quiet)
        else:
            self._keep(keys, fresh_seconds)
        # Counted from the end: an issuer that hangs would use up the pause.
        self._fetched_at = self._clock()

    def _keep(self, keys: KeySet, fresh_seconds: float) -> None:
        # The same object as long as nothing changed: cached tokens are valid only with the key set that verified them.
        if self._known is None or self._known.keys != keys.keys:
            self._known = keys
        self._fresh_from = self._clock()
        self._stale_at = self._fresh_from + fresh_seconds
        if self._failure is not None:
            logger.warning("the keys of %s can be fetched again", self._issuer)
        self._failure = self._degraded_state = None

    def _note_failure(self, error: Exception, *, quiet: bool) -> None:
        """Keep the error, and log it if it changes how requests are affected."""
        self._failure = f"the keys of {self._issuer} cannot be fetched: {cause_of(error, timeout=self._timeout)}"
        if self._known is None:
            state = "no keys are known, so requests with its tokens get a 503"
        elif self._is_too_old(self._clock()):
            state = "the known keys are too old, so requests with its tokens get a 503"
        else:
            state = "the known keys remain in use"
        if quiet or state == self._degraded_state:
            return
        logger.warning("%s; %s", self._failure, state)
        self._degraded_state = state
