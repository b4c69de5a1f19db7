"""Fetches an issuer's keys (RFC 8414, OpenID Connect Discovery), and decides which responses to trust."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache, partial
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx2

from dpop_asgi.core.htu import is_loopback, normalise
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.tokens.issuer.key_set import KeySet

# A hundred RSA-4096 keys take about 80 KB.
_MAX_DOCUMENT_BYTES = 262_144
# The event loop is blocked a little for each: a flood of tiny chunks would delay other requests.
_MAX_CHUNKS = 1000
_MAX_OPENERS = 1000
_MAX_VALUES = 10_000

# A single coding: several layers could take minutes to decode before they yield the first byte.
_CONTENT_CODINGS = frozenset({"", "identity", "gzip"})
_HEADERS = {"accept": "application/json", "accept-encoding": "gzip"}

# The share of the remaining time for TCP, and again for TLS.
_CONNECT_SHARE = 0.45

_USER = re.compile(r"//[^/?#]*@")

# How long a key set counts as fresh; `Cache-Control: max-age` is respected within these bounds.
_DEFAULT_FRESH_SECONDS = 300.0
_FRESH_BOUNDS = (60.0, 86_400.0)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")


_Get = Callable[[str], Awaitable[tuple[dict[str, Any], Mapping[str, str]]]]


async def fetch_keys(
    issuer: str, jwks_uri: str | None, *, insecure_http_hosts: Collection[str], seconds: float
) -> tuple[KeySet, float]:
    """The key set at `jwks_uri`, or at the URL in the issuer's metadata, and for how many seconds it is fresh.

    Redirects aren't followed, since only the configured URL is trusted. Proxies in the environment aren't used, since
    over plain http a proxy could serve its own keys. The whole fetch takes at most `seconds`.

    Raises:
        ValueError: If a response is invalid.
        TimeoutError, httpx2.HTTPError: If there is no response. The HTTP client may raise other errors, too.
    """
    async with asyncio.timeout(seconds) as limit, http_client() as http:
        get = partial(_get, http, limit)
        document, headers = await get(jwks_uri or await _discover(get, issuer, insecure_http_hosts))
        return KeySet(document), _fresh_seconds(headers)


async def fetch_address(issuer: str, member: str, *, insecure_http_hosts: Collection[str], seconds: float) -> str:
    """The URL that the issuer's metadata gives as `member`, such as `introspection_endpoint`.

    Raises:
        ValueError, TimeoutError, httpx2.HTTPError: As `fetch_keys`.
    """
    async with asyncio.timeout(seconds) as limit, http_client() as http:
        return await _discover(partial(_get, http, limit), issuer, insecure_http_hosts, member)


def http_client(**options: Any) -> httpx2.AsyncClient:  # noqa: ANN401 - of httpx2
    """A client that trusts the configured URL only: no redirects, no proxies of the environment."""
    return httpx2.AsyncClient(follow_redirects=False, trust_env=False, verify=tls(), headers=_HEADERS, **options)


async def _discover(get: _Get, issuer: str, insecure_http_hosts: Collection[str], member: str = "jwks_uri") -> str:
    """`member` of RFC 8414 §3 metadata, else of OpenID Connect Discovery §4."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    try:
        metadata, _ = await get(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}")
    except ValueError:
        # Not found, or not JSON: some servers return a page for every URL.
        metadata, _ = await get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    # RFC 8414 §3.3: metadata of another issuer must not be used.
    if metadata.get("issuer") != issuer or not isinstance(metadata.get(member), str):
        msg = f"its metadata names another issuer or no {member}"
        raise ValueError(msg)
    is_local = is_loopback(parts.hostname or "")
    check_address(member, metadata[member], insecure_http_hosts=insecure_http_hosts, loopback=is_local)
    return str(metadata[member])


async def _get(http: httpx2.AsyncClient, limit: asyncio.Timeout, url: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """A JSON object, and the response headers."""
    async with http.stream("GET", url, timeout=connect_timeout(limit)) as response:
        if response.status_code != httpx2.codes.OK:
            msg = f"{url} responded with {response.status_code}"
            raise ValueError(msg)
        return await json_in(response), response.headers


async def json_in(response: httpx2.Response, *, max_bytes: int = _MAX_DOCUMENT_BYTES) -> dict[str, Any]:
    """The JSON object in the body of a response.

    Raises:
        ValueError: If there is none, or it is too large.
    """
    if response.headers.get("content-encoding", "").lower() not in _CONTENT_CODINGS:
        msg = f"{response.url} responded with a content coding that was not accepted"
        raise ValueError(msg)
    body = await _body(response, max_bytes)
    return strict_json_object(body, most_openers=_MAX_OPENERS, most_values=_MAX_VALUES)


def cause_of(error: Exception, *, timeout: float) -> str:
    """Why there is no usable response, for the log."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return f"no response in time (timeout: {timeout:g} s)"
    # The message may quote what the server sent, which must not be logged.
    quotes_the_response = isinstance(error, httpx2.ProtocolError)
    return type(error).__name__ if quotes_the_response else str(error) or type(error).__name__


def connect_timeout(limit: asyncio.Timeout) -> httpx2.Timeout:
    """Ends connecting before the limit does: httpx2 leaves the socket open if a handshake is cancelled."""
    left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
    return httpx2.Timeout(None, connect=max(0.0, _CONNECT_SHARE * left))


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes or len(chunks) > _MAX_CHUNKS:
            msg = f"{response.url} responded with more than {max_bytes} bytes or {_MAX_CHUNKS} chunks"
            raise ValueError(msg)
    return b"".join(chunks)


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    max_age = _MAX_AGE.search(headers.get("cache-control", "").lower())
    if max_age is None:
        return _DEFAULT_FRESH_SECONDS
    return min(max(float(max_age[1]), _FRESH_BOUNDS[0]), _FRESH_BOUNDS[1])


@lru_cache(1)
def tls() -> SSLContext:
    """The TLS context. Reading the certificate store is slow, so it happens once, before any request.

    Raises:
        ValueError: If the certificate store cannot be read.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        msg = f"the certificate store cannot be read (is SSL_CERT_FILE or SSL_CERT_DIR set?): {error}"
        raise ValueError(msg) from error


def check_address(option: str, url: str, *, insecure_http_hosts: Collection[str], loopback: bool = True) -> None:
    """Check the URL of keys or metadata. They could be forged over plain http (RFC 8414 §6.1).

    URLs are logged, so they must not contain credentials.

    Args:
        option: the option's name for messages.
        url: the URL.
        insecure_http_hosts: hosts that may use plain http.
        loopback: whether this machine may, too. A remote issuer must not point to a service on this machine.

    Raises:
        ValueError: If the URL is not allowed; the message names the option and the problem.
    """
    if _USER.search(url):
        msg = f"{option}: the URL has a user name or password, which would appear in logs"
        raise ValueError(msg)
    scheme, host = _scheme_and_host(url)
    if scheme == "https" or (host and host in insecure_http_hosts) or (loopback and is_loopback(host)):
        return
    if not host:
        msg = f"{option}: {url!r} is not an https URL"
    elif is_loopback(host):
        msg = f"{option}: {url!r} is on this machine, but its issuer is not"
    else:
        msg = (
            f"{option}: {url!r} is plain http, so anyone on the network path could respond in its place: "
            "use https, or list the host in insecure_http_hosts"
        )
    raise ValueError(msg)


def _scheme_and_host(url: str) -> tuple[str, str]:
    """The scheme, and the host without port and brackets; both empty if the URL, or its port, is malformed."""
    try:
        parts = urlsplit(normalise(url) or "")
    except ValueError:
        return "", ""
    return parts.scheme, parts.hostname or ""
