"""HTTP responses of an issuer: which to trust, and how much of them to read."""

import asyncio
from codecs import BOM_UTF8
from functools import lru_cache
from importlib.metadata import version
from ssl import SSLContext
from typing import Any

import httpx2

from dpop_asgi.core.strict_json import strict_json_object

# A hundred RSA-4096 keys take about 80 KB.
_MAX_DOCUMENT_BYTES = 262_144
# The event loop is blocked a little for each: a flood of tiny chunks would delay other requests.
_MAX_CHUNKS = 1000
_MAX_OPENERS = 1000
_MAX_VALUES = 10_000
# As for signed tokens: code that copies claims may recurse.
_MAX_LEVELS = 128

# A single coding: several layers could take minutes to decode before they yield the first byte.
_CONTENT_CODINGS = frozenset({"", "identity", "gzip"})
# Some firewalls reject unknown HTTP clients.
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip",
    "user-agent": f"dpop-asgi/{version('dpop-asgi')}",
}

# The share of the remaining time for TCP, and again for TLS.
_CONNECT_SHARE = 0.45


def http_client(**options: Any) -> httpx2.AsyncClient:  # noqa: ANN401 - of httpx2
    """A client that trusts the configured URL only: no redirects, no proxies of the environment."""
    return httpx2.AsyncClient(follow_redirects=False, trust_env=False, verify=tls(), headers=_HEADERS, **options)


async def json_in(response: httpx2.Response, *, max_bytes: int = _MAX_DOCUMENT_BYTES) -> dict[str, Any]:
    """The JSON object in the body of a response.

    Raises:
        ValueError: If there is none, or it is too large.
    """
    if response.headers.get("content-encoding", "").lower() not in _CONTENT_CODINGS:
        msg = f"{response.url} responded with a content coding that was not accepted"
        raise ValueError(msg)
    body = (await _body(response, max_bytes)).removeprefix(BOM_UTF8)
    try:
        return strict_json_object(
            body, most_openers=_MAX_OPENERS, most_values=_MAX_VALUES, most_levels=_MAX_LEVELS, long_numbers=True
        )
    except ValueError as error:
        # Without the text of Python's own errors, which may quote the response.
        msg = f"{response.url}: {error if type(error) is ValueError else 'not JSON'}"
        raise ValueError(msg) from None


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
