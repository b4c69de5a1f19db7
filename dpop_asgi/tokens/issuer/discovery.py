"""Fetches an issuer's keys (RFC 8414, OpenID Connect Discovery), and decides which responses to trust."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2

from dpop_asgi.core.htu import is_loopback, normalise
from dpop_asgi.core.options import host_names, one_or_more, quoted_url
from dpop_asgi.core.strict_json import shown
from dpop_asgi.log import logger
from dpop_asgi.tokens.issuer.http import connect_timeout, http_client, json_in
from dpop_asgi.tokens.issuer.key_set import KeySet

# Some issuers have their keys as a JWK Set only (RFC 7517 §8.5.2).
_ACCEPT_KEYS = {"accept": "application/json, application/jwk-set+json"}

_USER = re.compile(r"//[^/?#]*@")

# How long a key set counts as fresh; `Cache-Control: max-age` is respected within these bounds.
_DEFAULT_FRESH_SECONDS = 300.0
_FRESH_BOUNDS = (60.0, 86_400.0)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")

_Get = Callable[[str], Awaitable[tuple[dict[str, Any], Mapping[str, str]]]]

# Called with each document of an issuer: its URL, its content, and the response headers.
Observe = Callable[[str, Mapping[str, Any], Mapping[str, str]], None]


async def fetch_keys(
    issuer: str,
    jwks_uri: str | None,
    *,
    insecure_http_hosts: Collection[str],
    seconds: float,
    observe: Observe | None = None,
) -> tuple[KeySet, float]:
    """The key set at `jwks_uri`, or at the URL in the issuer's metadata, and for how many seconds it is fresh.

    Redirects aren't followed, since only the configured URL is trusted. Proxies in the environment aren't used, since
    over plain http a proxy could serve its own keys. The whole fetch takes at most `seconds`.

    Raises:
        ValueError: If a response is invalid.
        TimeoutError, httpx2.HTTPError: If there is no response. The HTTP client may raise other errors, too.
    """
    async with _session(seconds, observe) as get:
        if jwks_uri is None:
            jwks_uri = (await _metadata(get, issuer, "jwks_uri", insecure_http_hosts))["jwks_uri"]
        document, headers = await get(jwks_uri)
        return KeySet(document), _fresh_seconds(headers)


async def fetch_address(issuer: str, member: str, *, insecure_http_hosts: Collection[str], seconds: float) -> str:
    """The URL that the issuer's metadata gives as `member`, such as `introspection_endpoint`.

    Raises:
        ValueError, TimeoutError, httpx2.HTTPError: As `fetch_keys`; the message says what is wrong at each address.
    """
    async with _session(seconds) as get:
        return str((await _metadata(get, issuer, member, insecure_http_hosts))[member])


@asynccontextmanager
async def _session(seconds: float, observe: Observe | None = None) -> AsyncIterator[_Get]:
    async with asyncio.timeout(seconds) as limit, http_client() as http:
        yield partial(_get, http, limit, observe=observe)


async def _metadata(get: _Get, issuer: str, member: str, insecure_http_hosts: Collection[str]) -> dict[str, Any]:
    """RFC 8414 §3 metadata, else that of OpenID Connect Discovery §4.

    The second is tried whatever is wrong with the first: some servers return a page or an error for every URL.
    """
    parts, causes = urlsplit(issuer), []
    for url in (
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}",
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
    ):
        try:
            document, _ = await get(url)
            _check_metadata(url, document, issuer, member)
        except ValueError as error:
            causes.append(str(error))
        else:
            is_local = is_loopback(parts.hostname or "")
            check_address(member, document[member], insecure_http_hosts=insecure_http_hosts, loopback=is_local)
            return document
    raise ValueError("; ".join(causes))


def _check_metadata(url: str, document: Mapping[str, Any], issuer: str, member: str) -> None:
    # RFC 8414 §3.3: metadata of another issuer must not be used.
    if document.get("issuer") != issuer:
        named = document.get("issuer")
        is_close = isinstance(named, str) and named.rstrip("/") == issuer.rstrip("/")
        hint = ": only the slash at the end differs" if is_close else ""
        msg = f"{url} has issuer {shown(named)!r} instead of {issuer!r}{hint}"
        raise ValueError(msg)
    if not isinstance(document.get(member), str):
        msg = f"{url} has no {member}"
        raise ValueError(msg)


async def _get(
    http: httpx2.AsyncClient, limit: asyncio.Timeout, url: str, *, observe: Observe | None = None
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """A JSON object, and the response headers."""
    async with http.stream("GET", url, headers=_ACCEPT_KEYS, timeout=connect_timeout(limit)) as response:
        if response.status_code != httpx2.codes.OK:
            msg = f"{url} responded with {response.status_code}"
            raise ValueError(msg)
        document = await json_in(response)
        if observe is not None:
            observe(url, document, response.headers)
        return document, response.headers


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    max_age = _MAX_AGE.search(headers.get("cache-control", "").lower())
    if max_age is None:
        return _DEFAULT_FRESH_SECONDS
    return min(max(float(max_age[1]), _FRESH_BOUNDS[0]), _FRESH_BOUNDS[1])


def insecure_hosts(names: Iterable[str], warning: str) -> frozenset[str]:
    """The hosts that `insecure_http_hosts` names. If there are any, the log has `warning`, with them in its braces.

    Raises:
        ValueError: If one isn't a host name; the message names the option.
    """
    hosts = host_names("insecure_http_hosts", names)
    if hosts:
        logger.warning("insecure_http_hosts: %s", warning.format(", ".join(sorted(hosts))))
    return hosts


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
    one_or_more(option, [url], "a URL")
    if option == "issuer" and "/.well-known/" in url:
        msg = f"issuer: {quoted_url(url)} is where its metadata is; the issuer is what is before /.well-known"
        raise ValueError(msg)
    if _USER.search(url):
        msg = f"{option}: the URL has a user name or password, which would appear in logs"
        raise ValueError(msg)
    scheme, host = _scheme_and_host(url)
    if scheme == "https" or (host and host in insecure_http_hosts) or (loopback and is_loopback(host)):
        return
    if not host:
        msg = f"{option}: {quoted_url(url)} is not an https URL, such as https://id.example.com"
    elif is_loopback(host):
        msg = f"{option}: {quoted_url(url)} is on this machine, but its issuer is not"
    else:
        msg = (
            f"{option}: {quoted_url(url)} is plain http, so anyone on the network path could respond in its place: "
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
