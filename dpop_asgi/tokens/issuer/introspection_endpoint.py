"""Asks an issuer's introspection endpoint about a token (RFC 7662 §2), within limits of time and size."""

import asyncio
import math
import time
from collections.abc import Collection
from typing import Any

import httpx2

from dpop_asgi.circuit_breaker import CircuitBreaker
from dpop_asgi.core.ports import Health
from dpop_asgi.errors import IssuerUnavailable
from dpop_asgi.log import logger
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.tokens.issuer.client_authentication import ClientAuthentication
from dpop_asgi.tokens.issuer.discovery import check_address, fetch_address
from dpop_asgi.tokens.issuer.http import cause_of, connect_timeout, http_client, json_in, tls

# Calls under way at a time. With an endpoint that takes 50 ms, more than 1,000 new tokens per second.
MAX_CALLS = 64

# An answer is kept as long as its token is. Those of real issuers have about 1 KB.
_MAX_ANSWER_BYTES = 65_536

# Between requests, so that a new token does not wait for TCP and TLS.
_LIMITS = httpx2.Limits(max_connections=MAX_CALLS, max_keepalive_connections=16, keepalive_expiry=30.0)

# A connection that was kept open may have been closed by the server in the meantime.
_CONNECTION_WAS_CLOSED = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)

# Anyone can send a token that the endpoint does not understand: what it then says is logged this often.
_REPEAT_SECONDS = 60.0

_WRONG_CREDENTIALS = "wrong client_id or client_secret (or private_key)"
_ERRORS = {
    "invalid_client": _WRONG_CREDENTIALS,
    "unauthorized_client": "this client_id may not introspect tokens: allow it at the issuer",
    "unsupported_token_type": "it does not introspect tokens of this kind, such as signed ones: use TokensByShape",
    "invalid_request": "it does not accept the request",
}
_STATUSES = {
    400: _ERRORS["invalid_request"],
    401: _WRONG_CREDENTIALS,
    403: _ERRORS["unauthorized_client"],
    404: "there is no introspection endpoint: set endpoint to its URL",
    405: "this is no introspection endpoint: set endpoint to its URL",
    429: "it was called too often: raise its limit, or cache_seconds",
}
# All other statuses may be due to the token, such as the 403 of a firewall that takes it for an attack: whoever sends
# such tokens must not be able to stop introspection for all others.
_NOT_DUE_TO_TOKEN = frozenset({401, 404, 405, 408, 429, 502, 503, 504})
_NOT_ALLOWED = frozenset({"invalid_client", "unauthorized_client"})


class _Fault(Exception):
    """The endpoint responded, but not with an answer. `due_to_token` if that may be because of the token."""

    def __init__(self, what: str, *, due_to_token: bool) -> None:
        super().__init__(what)
        self.due_to_token = due_to_token


class IntrospectionEndpoint:
    """An introspection endpoint, found through the issuer's metadata or at `endpoint`.

    Args:
        issuer: the issuer identifier; `None` if `endpoint` is given.
        endpoint: the URL of the endpoint, instead of the one in the metadata.
        authenticate: as which client the calls are made.
        timeout: seconds for a whole call, discovery included.
        insecure_http_hosts: hosts, besides this machine, that may be called over plain http.

    Raises:
        ValueError: If a URL is not allowed, in which case the message names its option, or the certificate store
            cannot be read.
    """

    def __init__(
        self,
        issuer: str | None,
        endpoint: str | None,
        *,
        authenticate: ClientAuthentication,
        timeout: float,
        insecure_http_hosts: Collection[str],
    ) -> None:
        option, address = ("endpoint", endpoint) if endpoint is not None else ("issuer", issuer or "")
        check_address(option, address, insecure_http_hosts=insecure_http_hosts)
        tls()
        self._issuer = issuer
        self._configured = self._address = endpoint
        self._authenticate = authenticate
        self._timeout = timeout
        self._insecure_http_hosts = insecure_http_hosts
        # Without a query, in which there may be a key.
        self._name = f"introspection by {address.partition('?')[0]}"
        self._locating: SingleFlight[None] = SingleFlight(self._locate)
        self._breaker = CircuitBreaker(self._name, timeout=timeout)
        self._outage_log = OutageLog(
            f"{self._name} fails, so requests with tokens that are not remembered get a 503",
            f"{self._name} works again",
        )
        self._logged: dict[str, float] = {}
        self._http: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, token: str) -> dict[str, Any]:
        """What the endpoint says about `token`; all members are as they came.

        Raises:
            IssuerUnavailable: If there is no answer; the message says what to do, and quotes nothing of the response.
        """
        self._breaker.admit()
        due_to_token = False
        try:
            async with asyncio.timeout(self._timeout) as limit:
                answer = await self._answer(token, limit)
        except _Fault as fault:
            cause, due_to_token = str(fault), fault.due_to_token
        except Exception as error:  # noqa: BLE001 - whatever a response triggers in a library becomes a 503
            cause = cause_of(error, timeout=self._timeout)
        else:
            self._breaker.succeeded()
            self._outage_log.succeeded()
            return answer
        raise self._failed(cause, due_to_token=due_to_token)

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`."""
        is_used = self._http is not None
        return [Health("issuer", self._issuer or self._name, not self._breaker.is_open)] if is_used else []

    async def locate(self) -> None:
        """Find the endpoint, unless it is known.

        Raises:
            IssuerUnavailable: If that is not possible now.
        """
        try:
            await self._located()
        except Exception as error:  # noqa: BLE001 - as above
            cause = cause_of(error, timeout=self._timeout)
        else:
            return
        raise IssuerUnavailable(f"{self._name}: {cause}")

    def complaint(self, cause: str) -> IssuerUnavailable:
        """An error that some requests get. It is logged, but only now and then: anyone could cause it."""
        failure = IssuerUnavailable(f"{self._name}: {cause}")
        # There are few causes: none contains anything of a token or a response.
        if time.monotonic() - self._logged.get(cause, -math.inf) >= _REPEAT_SECONDS:
            self._logged[cause] = time.monotonic()
            logger.warning("%s; requests with such tokens get a 503", failure)
        return failure

    async def aclose(self) -> None:
        """Close the connections, and forget them if they are another event loop's."""
        http, self._http = self._http, None
        await self._locating.aclose()
        if http is not None and self._loop is asyncio.get_running_loop():
            await http.aclose()

    def _failed(self, cause: str, *, due_to_token: bool) -> IssuerUnavailable:
        if due_to_token:
            # The endpoint responds, after all.
            self._breaker.succeeded()
            return self.complaint(cause)
        failure = IssuerUnavailable(f"{self._name}: {cause}")
        self._breaker.failed(failure)
        self._outage_log.failed(Exception(cause))
        return failure

    async def _answer(self, token: str, limit: asyncio.Timeout) -> dict[str, Any]:
        address = await self._located()
        try:
            return await self._post(address, token, limit)
        except _CONNECTION_WAS_CLOSED:
            return await self._post(address, token, limit)

    async def _located(self) -> str:
        if self._address is None:
            await asyncio.shield(self._locating.start())
        return self._address or ""

    async def _locate(self) -> None:
        hosts, member = self._insecure_http_hosts, "introspection_endpoint"
        self._address = await fetch_address(
            self._issuer or "", member, insecure_http_hosts=hosts, seconds=self._timeout
        )

    async def _post(self, address: str, token: str, limit: asyncio.Timeout) -> dict[str, Any]:
        # Anew each time: an assertion may be accepted only once (RFC 7523 §3), and a call that failed may have arrived.
        headers, members = self._authenticate(self._issuer or address)
        form = {"token": token, "token_type_hint": "access_token", **members}
        http = self._client()
        # The calls have nothing to do with each other.
        http.cookies.clear()
        async with http.stream("POST", address, data=form, headers=headers, timeout=connect_timeout(limit)) as response:
            status = response.status_code
            if status != httpx2.codes.OK:
                raise await self._fault(response)
            try:
                return await json_in(response, max_bytes=_MAX_ANSWER_BYTES)
            except (ValueError, RecursionError, httpx2.DecodingError):
                what = f"its response isn't a JSON object, or is longer than {_MAX_ANSWER_BYTES} bytes"
        raise _Fault(what, due_to_token=True)

    async def _fault(self, response: httpx2.Response) -> _Fault:
        """What a response with another status than 200 means."""
        status = response.status_code
        error = await _error_in(response) if status in {400, 401, 403} else ""
        if status in {404, 405}:
            # It may have moved.
            self._address = self._configured
        hint = _ERRORS.get(error) or _STATUSES.get(status, "")
        if response.is_redirect:
            hint = "redirects are not followed: set endpoint to the URL that it leads to"
        what = f"it responded with {status}{f' {error}' if error else ''}{f': {hint}' if hint else ''}"
        return _Fault(what, due_to_token=status not in _NOT_DUE_TO_TOKEN and error not in _NOT_ALLOWED)

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            self._http, self._loop = http_client(limits=_LIMITS), loop
        return self._http


async def _error_in(response: httpx2.Response) -> str:
    """The OAuth error code, if it is one that is known: any other is not logged."""
    try:
        error = (await json_in(response, max_bytes=_MAX_ANSWER_BYTES)).get("error")
    except (ValueError, RecursionError, httpx2.DecodingError):
        return ""
    return error if isinstance(error, str) and error in _ERRORS else ""
