"""Keeps an access token, and renews it in time: once for all threads and tasks that wait for it."""

from collections.abc import Generator
from concurrent.futures import Future
from threading import Lock
from time import monotonic
from typing import Any

import httpx2

from dpop_asgi.client.flow import header_flow
from dpop_asgi.client.key import Key
from dpop_asgi.client.nonces import Nonces
from dpop_asgi.client.signed_request import Body, sent
from dpop_asgi.client.token_endpoint import ClientCredentials, IssuedToken, TokenError
from dpop_asgi.core.ports import Clock

# What has ended while others waited for it: with an error that is theirs as well, or with `None`.
Outcome = TokenError | None
# A request to send, or what another thread or task has to end first.
Step = httpx2.Request | Future[Outcome]

# A fetch that was broken off, since its request was cancelled or had no response, is done again by one that waits for
# it. Who has waited so often gives up: each time may have been a timeout.
_MOST_WAITS = 3
# So long others wait for a fetch, and a read or write in it takes at most. httpx2's own timeouts are 5 s each.
LONGEST_WAIT_SECONDS = 30.0
_TIMEOUTS = ("connect", "read", "write", "pool")
# After a failure a token that is still valid is used for so long, until it is tried again.
_PAUSE_SECONDS = 5.0
# A token that an API rejects earlier than this is not fetched anew: the next one would be rejected, too.
_SHORTEST_USE_SECONDS = 10.0


class BoundTokens:
    """The token of one client and one key.

    Args:
        credentials: where it comes from.
        key: what it is bound to.
        nonces: where nonces are kept.
        clock: seconds since the epoch.
    """

    def __init__(self, credentials: ClientCredentials, key: Key, nonces: Nonces, clock: Clock) -> None:
        self._credentials = credentials
        self._key = key
        self._nonces = nonces
        self._clock = clock
        self._lock = Lock()
        self._token: IssuedToken | None = None
        self._flight: Future[Outcome] | None = None
        self._flying_since = 0.0
        self._paused_until = 0.0

    def token(self, extensions: dict[str, Any]) -> Generator[Step, Any, str]:
        """A token that has not expired.

        Args:
            extensions: of the request that needs it: its timeouts are those of the token request, but there is none
                that lasts for ever.

        Raises:
            TokenError: If there is none.
        """
        for _ in range(_MOST_WAITS):
            found = self._look()
            if isinstance(found, IssuedToken):
                return found.value
            flight, leads = found
            if leads:
                return (yield from self._lead(flight, extensions))
            outcome: Outcome = yield flight
            if outcome is not None:
                raise TokenError(str(outcome), error=outcome.error, status=outcome.status)
        msg = "the token endpoint does not respond"
        raise TokenError(msg)

    def forget(self, value: str) -> None:
        """An API has rejected this token: fetch another one for the next request."""
        with self._lock:
            token = self._token
            if token and token.value == value and self._clock() - token.issued_at > _SHORTEST_USE_SECONDS:
                self._token = None

    def _look(self) -> IssuedToken | tuple[Future[Outcome], bool]:
        """The token if it can be used, or the fetch to wait for and whether it is the caller's to do."""
        with self._lock:
            now, token = self._clock(), self._token
            self._give_up_what_hangs()
            renewing = self._flight is not None or now < self._paused_until
            if token and now < (token.expires_at if renewing else token.renewed_at):
                return token
            if self._flight is not None:
                return self._flight, False
            self._flight, self._flying_since = Future(), monotonic()
            # So that one who waits and is cancelled doesn't cancel it for the others.
            self._flight.set_running_or_notify_cancel()
            return self._flight, True

    def _give_up_what_hangs(self) -> None:
        """A connection may be silent for ever: who waits for it looks again, and one of them begins anew."""
        if self._flight is not None and monotonic() - self._flying_since > LONGEST_WAIT_SECONDS:
            self._flight.set_result(None)
            self._flight = None

    def _lead(self, flight: Future[Outcome], extensions: dict[str, Any]) -> Generator[Step, Any, str]:
        outcome: Outcome = None
        fetched = None
        try:
            fetched = yield from self._fetch(extensions)
        except TokenError as error:
            outcome = error
            # While it is valid the one that was to be renewed does.
            if self._token is None or self._clock() >= self._token.expires_at:
                raise
            return self._token.value
        finally:
            self._end(flight, fetched, outcome)
        return fetched.value

    def _end(self, flight: Future[Outcome], fetched: IssuedToken | None, outcome: Outcome) -> None:
        with self._lock:
            if self._flight is not flight:
                # It was given up, and is good for the next requests unless another one has fetched a newer token.
                if fetched is not None and (self._token is None or self._token.issued_at < fetched.issued_at):
                    self._token = fetched
                return
            self._flight = None
            if fetched is not None:
                self._token = fetched
            else:
                self._paused_until = self._clock() + _PAUSE_SECONDS
        flight.set_result(outcome)

    def _fetch(self, extensions: dict[str, Any]) -> Generator[Step, Any, IssuedToken]:
        given = extensions.get("timeout", {})
        limits = {name: LONGEST_WAIT_SECONDS if given.get(name) is None else given[name] for name in _TIMEOUTS}
        request = self._credentials.request({"timeout": limits})
        steps = header_flow("POST", self._credentials.token_url, key=self._key, nonces=self._nonces, clock=self._clock)
        response = yield from sent(request, Body(request), steps)
        if response.request is not request:
            msg = "the token endpoint redirects"
            raise TokenError(msg, status=response.status_code)
        return IssuedToken.from_response(response, self._clock())
