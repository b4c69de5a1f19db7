"""The issuer's keys: found by its metadata (RFC 8414, OpenID Connect Discovery), cached, kept when it is down."""

import asyncio
import logging
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx2

from dpop_asgi.core.encoding import strict_json_object
from dpop_asgi.core.htu import is_loopback
from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import IssuerUnavailable
from dpop_asgi.tokens.key_set import KeySet

logger: logging.Logger = logging.getLogger("dpop_asgi")

# For one document. A request that needs the first key set waits for at most three of them.
_FETCH_SECONDS = 3.0

# A hundred RSA-4096 keys have about 80 KB.
_MAX_DOCUMENT_BYTES = 262_144
_MAX_OPENERS = 1000

# How long a key set counts as fresh; `Cache-Control: max-age` is respected between the bounds.
_DEFAULT_FRESH_SECONDS = 300.0
_FRESH_BOUNDS = (60.0, 86_400.0)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")

# For so long a stale key set serves while it is being refreshed; after that requests wait for the refresh.
_STALE_SECONDS = 300.0

# An unknown `kid` asks the issuer at most this often: anybody can invent one.
_UNKNOWN_KEY_COOLDOWN_SECONDS = 10.0

# While the issuer is down and no keys are known, one request in this time finds out; the others fail at once.
_RETRY_SECONDS = 1.0


class RemoteKeys:
    """The keys behind an issuer's metadata, or behind `jwks_uri`.

    Single flight; refreshed in the background when stale, at once for an unknown `kid` (with a cool-down);
    the old keys are kept while the issuer is down.

    Raises:
        ValueError: naming the option whose address is neither https nor on this machine.
    """

    def __init__(self, issuer: str, *, jwks_uri: str | None, clock: Clock) -> None:
        _check_address("issuer" if jwks_uri is None else "jwks_uri", jwks_uri or issuer)
        self.current: KeySet | None = None
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._stale_at = -math.inf
        self._attempted_at = -math.inf
        self._failed = False

    async def key_set(self) -> KeySet:
        """The keys as far as they are known.

        Raises:
            IssuerUnavailable: none are known, and they cannot be fetched now.
        """
        now = self._clock()
        if self.current is None:
            if self._failed and 0 <= now - self._attempted_at < _RETRY_SECONDS:
                msg = f"the keys of {self._issuer} could not be fetched a moment ago"
                raise IssuerUnavailable(msg)
            await asyncio.shield(self._single_flight())
        elif now >= self._stale_at and not 0 <= now - self._attempted_at < _RETRY_SECONDS:
            refresh = self._single_flight()
            if now >= self._stale_at + _STALE_SECONDS:
                # A process that was idle must not trust keys that may have been withdrawn long ago.
                await asyncio.wait([refresh])
        assert self.current is not None  # noqa: S101 - the fetch above raised otherwise
        return self.current

    async def key_set_for_unknown_key(self) -> KeySet:
        """The keys after the issuer was asked again, if that is due: it may have rotated them."""
        under_way = self._fetching is not None and not self._fetching.done()
        if under_way or not 0 <= self._clock() - self._attempted_at < _UNKNOWN_KEY_COOLDOWN_SECONDS:
            # A failure is logged by `_note`; the old keys are still good.
            await asyncio.wait([self._single_flight()])
        return await self.key_set()

    def _single_flight(self) -> asyncio.Task[None]:
        task = self._fetching
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            self._attempted_at = self._clock()
            task = self._fetching = asyncio.get_running_loop().create_task(self._fetch())
            task.add_done_callback(self._note)
        return task

    async def _fetch(self) -> None:
        try:
            document, fresh_seconds = await _get(self._jwks_uri or await self._discover())
            keys = KeySet(document)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RecursionError, ValueError) as error:
            msg = f"the keys of {self._issuer} cannot be fetched: {str(error) or type(error).__name__}"
            raise IssuerUnavailable(msg) from error
        # The same object as long as nothing changed: verified tokens are remembered with it.
        if self.current is None or self.current.keys != keys.keys:
            self.current = keys
        self._stale_at = self._clock() + fresh_seconds

    async def _discover(self) -> str:
        """`jwks_uri` from RFC 8414 §3 metadata, else from OpenID Connect Discovery §4."""
        parts = urlsplit(self._issuer)
        path = parts.path.rstrip("/")
        well_known = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"
        try:
            metadata, _ = await _get(well_known)
        except ValueError:
            # Not there, or not JSON: some servers answer every address with a page.
            metadata, _ = await _get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        # RFC 8414 §3.3: metadata of somebody else must not be used.
        if metadata.get("issuer") != self._issuer or not isinstance(metadata.get("jwks_uri"), str):
            msg = "its metadata names another issuer or no jwks_uri"
            raise ValueError(msg)
        _check_address("jwks_uri", metadata["jwks_uri"])
        return str(metadata["jwks_uri"])

    def _note(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed:
            logger.warning("%s%s", error, "; going on with the keys that are known" if self.current else "")
        elif error is None and self._failed:
            logger.warning("the keys of %s can be fetched again", self._issuer)
        self._failed = error is not None
        if self._failed:
            # From now, not from when it was asked: an issuer that hangs has used that time up.
            self._attempted_at = self._clock()


async def _get(url: str) -> tuple[dict[str, Any], float]:
    """A JSON object and for how many seconds it is fresh. No redirects: an address is trusted as it is written."""
    async with (
        asyncio.timeout(_FETCH_SECONDS),
        httpx2.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False, verify=_tls()) as http,
        http.stream("GET", url, headers={"accept": "application/json"}) as response,
    ):
        if response.status_code != httpx2.codes.OK:
            msg = f"{url} answers {response.status_code}"
            raise ValueError(msg)
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_DOCUMENT_BYTES:
                msg = f"{url} answers with more than {_MAX_DOCUMENT_BYTES} bytes"
                raise ValueError(msg)
        return strict_json_object(bytes(body), most_openers=_MAX_OPENERS), _fresh_seconds(response.headers)


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    max_age = _MAX_AGE.search(headers.get("cache-control", "").lower())
    if max_age is None:
        return _DEFAULT_FRESH_SECONDS
    return min(max(float(max_age[1]), _FRESH_BOUNDS[0]), _FRESH_BOUNDS[1])


@lru_cache(1)
def _tls() -> SSLContext:
    """Reading the certificate store takes some ten milliseconds, and is done once."""
    return httpx2.create_ssl_context()


def _check_address(option: str, url: str) -> None:
    """Keys fetched over plain http could be anybody's (RFC 8414 §6.1)."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    except ValueError:
        scheme, host = "", ""
    if (scheme == "https" and host) or (scheme == "http" and is_loopback(host)):
        return
    msg = f"{option}: {url!r} is neither an https address nor one on this machine"
    raise ValueError(msg)
