"""Where an issuer publishes its keys (RFC 8414, OpenID Connect Discovery), and what of its answers is believed."""

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

# A hundred RSA-4096 keys have about 80 KB.
_MAX_DOCUMENT_BYTES = 262_144
# Each costs some 20 µs, in which nobody else is served.
_MAX_CHUNKS = 1000
_MAX_OPENERS = 1000
_MAX_VALUES = 10_000

# Several on top of each other could be unpacked for minutes before the first byte of the document is there.
_CONTENT_CODINGS = frozenset({"", "identity", "gzip"})
_HEADERS = {"accept": "application/json", "accept-encoding": "gzip"}

# Of the time that is left, for TCP and once more for TLS.
_CONNECTING = 0.45

_USER = re.compile(r"//[^/?#]*@")

# How long a key set counts as fresh; `Cache-Control: max-age` is respected between the bounds.
_DEFAULT_FRESH_SECONDS = 300.0
_FRESH_BOUNDS = (60.0, 86_400.0)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")


_Get = Callable[[str], Awaitable[tuple[dict[str, Any], Mapping[str, str]]]]


async def fetch_keys(
    issuer: str, jwks_uri: str | None, *, insecure_http_hosts: Collection[str], seconds: float
) -> tuple[KeySet, float]:
    """The key set at `jwks_uri`, or where the issuer's metadata says; and for how many seconds it is fresh.

    No redirects, and no proxy of the environment: an address is trusted as it is written, and over plain http a proxy
    could serve keys of its own. All of it takes at most so many `seconds`.

    Raises:
        ValueError: the answer is not what it should be.
        TimeoutError, httpx2.HTTPError: there is none. Other errors may come from below.
    """
    async with (
        asyncio.timeout(seconds) as limit,
        httpx2.AsyncClient(follow_redirects=False, trust_env=False, verify=tls(), headers=_HEADERS) as http,
    ):
        get = partial(_get, http, limit)
        document, headers = await get(jwks_uri or await _discover(get, issuer, insecure_http_hosts))
        return KeySet(document), _fresh_seconds(headers)


async def _discover(get: _Get, issuer: str, insecure_http_hosts: Collection[str]) -> str:
    """`jwks_uri` from RFC 8414 §3 metadata, else from OpenID Connect Discovery §4."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    try:
        metadata, _ = await get(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}")
    except ValueError:
        # Not there, or not JSON: some servers answer every address with a page.
        metadata, _ = await get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    # RFC 8414 §3.3: metadata of somebody else must not be used.
    if metadata.get("issuer") != issuer or not isinstance(metadata.get("jwks_uri"), str):
        msg = "its metadata names another issuer or no jwks_uri"
        raise ValueError(msg)
    here = is_loopback(parts.hostname or "")
    check_address("jwks_uri", metadata["jwks_uri"], insecure_http_hosts=insecure_http_hosts, loopback=here)
    return str(metadata["jwks_uri"])


async def _get(http: httpx2.AsyncClient, limit: asyncio.Timeout, url: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """A JSON object, and the header fields that came with it."""
    async with http.stream("GET", url, timeout=_waiting(limit)) as response:
        if response.status_code != httpx2.codes.OK:
            msg = f"{url} answers {response.status_code}"
            raise ValueError(msg)
        if response.headers.get("content-encoding", "").lower() not in _CONTENT_CODINGS:
            msg = f"{url} answers in a content coding that was not asked for"
            raise ValueError(msg)
        document = strict_json_object(await _body(response), most_openers=_MAX_OPENERS, most_values=_MAX_VALUES)
        return document, response.headers


def _waiting(limit: asyncio.Timeout) -> httpx2.Timeout:
    """Connecting ends by itself before the limit: httpx2 leaves a socket open when it is cancelled in a handshake."""
    left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
    return httpx2.Timeout(None, connect=max(0.0, _CONNECTING * left))


async def _body(response: httpx2.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_DOCUMENT_BYTES or len(chunks) > _MAX_CHUNKS:
            msg = f"{response.url} answers with more than {_MAX_DOCUMENT_BYTES} bytes, or {_MAX_CHUNKS} chunks"
            raise ValueError(msg)
    return b"".join(chunks)


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    max_age = _MAX_AGE.search(headers.get("cache-control", "").lower())
    if max_age is None:
        return _DEFAULT_FRESH_SECONDS
    return min(max(float(max_age[1]), _FRESH_BOUNDS[0]), _FRESH_BOUNDS[1])


@lru_cache(1)
def tls() -> SSLContext:
    """Reading the certificate store takes some ten milliseconds, and is done once: before any request waits for it.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        msg = f"the certificate store cannot be read (is SSL_CERT_FILE or SSL_CERT_DIR set?): {error}"
        raise ValueError(msg) from error


def check_address(option: str, url: str, *, insecure_http_hosts: Collection[str], loopback: bool = True) -> None:
    """Keys fetched over plain http could be anybody's (RFC 8414 §6.1). Addresses stand in logs: none has a password.

    Args:
        option: the name for messages.
        url: where keys or metadata are.
        insecure_http_hosts: hosts to which plain http is allowed.
        loopback: whether it is to this machine, too: an issuer elsewhere must not send us to what listens here.

    Raises:
        ValueError: naming the option, and what is wrong with the address.
    """
    if _USER.search(url):
        msg = f"{option}: the address has a user name or password, which would stand in logs"
        raise ValueError(msg)
    scheme, host = _scheme_and_host(url)
    if scheme == "https" or (host and host in insecure_http_hosts) or (loopback and is_loopback(host)):
        return
    if not host:
        msg = f"{option}: {url!r} is not an https address"
    elif is_loopback(host):
        msg = f"{option}: {url!r} is on this machine, and its issuer is not"
    else:
        msg = (
            f"{option}: {url!r} is plain http, where anyone on the way could replace the keys: "
            "use https, or list the host in insecure_http_hosts"
        )
    raise ValueError(msg)


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Without port and brackets; both empty when the address is malformed, its port included."""
    try:
        parts = urlsplit(normalise(url) or "")
    except ValueError:
        return "", ""
    return parts.scheme, parts.hostname or ""
