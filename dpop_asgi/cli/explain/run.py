"""`dpop-asgi explain`, from the options to the exit code."""

import asyncio
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from dpop_asgi.cli.check.environment import settings_by
from dpop_asgi.cli.explain.case import Case, Rules
from dpop_asgi.cli.explain.examine import examine
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.cli.explain.message import Message
from dpop_asgi.cli.explain.reading.text import read
from dpop_asgi.cli.explain.screen import Report, as_json
from dpop_asgi.cli.unusable import Unusable, content_of, token_of
from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import StoreError
from dpop_asgi.settings import token_types
from dpop_asgi.stores.redis.read_only import ReadOnlyRedisStore
from dpop_asgi.tokens.jwt import JWTVerifier

# A HAR file of a long session.
_MOST_BYTES = 100_000_000
# Not what a proof is, or begins with.
_FILE_NAME = re.compile(r"\S*\.(?:har|http|json|jwt|log|txt)\Z|(?:~|\.{0,2})/|\.{1,2}\Z")
_TIMEOUT_SECONDS = 5.0
_STORE_SECONDS = 2.0
# What decides about proofs; the rest of a server's environment isn't needed here.
_VARIABLES = (
    "DPOP_ALGORITHMS",
    "DPOP_PROOF_MAX_AGE",
    "DPOP_PROOF_MAX_FUTURE",
    "DPOP_NONCE_PERIOD",
    "DPOP_NONCE_GRACE",
    "DPOP_MODE",
    "DPOP_TOKEN_TYPES",
    "DPOP_NAMESPACE",
)

# A server with one of them introspects opaque tokens.
_INTROSPECTION = (
    "DPOP_INTROSPECTION_CLIENT_ID",
    "DPOP_INTROSPECTION_CLIENT_SECRET",
    "DPOP_INTROSPECTION_ENDPOINT",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of the command."""

    proof: str | None = field(default=None, repr=False)
    method: str | None = None
    url: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    nonce: str | None = field(default=None, repr=False)
    jwks: str | None = None
    store: str | None = field(default=None, repr=False)
    now: float | None = None
    as_json: bool = False


def explain(options: Options, clock: Clock = time.time) -> int:
    """Print every check.

    Args:
        options: of the command.
        clock: the time of the store, in seconds since the epoch.

    Returns:
        0 if none fails, else 1.

    Raises:
        Unusable: If the input can't be explained, or an option can't be used; the message contains no secrets.
    """
    message = _with_options(read(_input(options.proof)), options)
    read_at = clock()
    now, since = _time(message, options.now, read_at)
    nonce = options.nonce or _issued(message)
    case = Case(message=message, rules=_rules(options), now=now, read_at=read_at, server_nonce=nonce)
    try:
        checks = asyncio.run(_examine(case))
    except StoreError as error:
        raise Unusable(f"--store: {error}") from None
    if options.as_json:
        sys.stdout.write(as_json(checks) + "\n")
    else:
        Report().show(case, checks, since)
    return 1 if any(check.outcome == "fail" for check in checks) else 0


async def _examine(case: Case) -> list[Check]:
    logger = logging.getLogger("dpop_asgi")
    # A worker would warn of others whose settings differ.
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return await examine(case)
    finally:
        logger.setLevel(level)
        if case.rules.store is not None:
            await case.rules.store.aclose()


def _input(given: str | None) -> str:
    """The argument, or the file that it names, or standard input."""
    if given is not None and given != "-":
        if _is_file(given):
            try:
                return Path(given).read_text("utf-8", "replace")
            except OSError as error:
                raise Unusable(f"PROOF|FILE: the file can't be read: {error.strerror}.") from None
        if _FILE_NAME.match(given):
            raise Unusable("PROOF|FILE: looks like the name of a file, but there is no such file.")
        return given
    if sys.stdin.isatty():
        sys.stderr.write("Paste a proof, the output of curl -v, or a HAR entry; then press Ctrl+D.\n")
    return sys.stdin.buffer.read(_MOST_BYTES).decode("utf-8", "replace")


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        # A proof is too long for a name.
        return False


def _with_options(message: Message, options: Options) -> Message:
    """Options win over what was read."""
    if options.method:
        message = replace(message, method=options.method)
    if options.url:
        scheme, separator, rest = options.url.partition("://")
        if not separator:
            raise Unusable("--url: must be an absolute URL, such as https://api.example.com/orders.")
        websocket = scheme.lower() in {"ws", "wss"}
        scheme = {"ws": "http", "wss": "https"}.get(scheme.lower(), scheme)
        message = replace(
            message, url=f"{scheme}://{rest}", is_scheme_assumed=False, websocket=websocket or message.websocket
        )
    if options.token:
        token = token_of(options.token)
        message = replace(message, authorizations=(token if " " in token else f"DPoP {token}",))
    return message


def _time(message: Message, now: float | None, read_at: float) -> tuple[float, str]:
    """When the request is judged, and where that comes from: a captured request is old by now."""
    if now is not None:
        if not math.isfinite(now):
            raise Unusable("--now: must be a time in seconds since 1970.")
        return now, "--now"
    if message.response is not None and message.response.date is not None:
        return message.response.date, "the Date of the response"
    if message.sent_at is not None:
        return message.sent_at, "when the request was sent"
    return read_at, "now; for another time, pass --now"


def _issued(message: Message) -> str | None:
    """The nonce that the server wants instead of the one in the proof."""
    response = message.response
    return response.nonce if response is not None and response.error == "use_dpop_nonce" else None


def _rules(options: Options) -> Rules:
    """What the server would judge by: its environment variables, where they are set."""
    try:
        authenticator = settings_by(os.environ, _VARIABLES).authenticator
        store = None if options.store is None else ReadOnlyRedisStore(options.store, timeout=_STORE_SECONDS)
    except ValueError as error:
        if str(error).startswith("redis:"):
            raise Unusable(f"--store:{str(error).removeprefix('redis:')}") from None
        raise Unusable(str(error)) from None
    return Rules(
        policy=authenticator.proof_policy,
        nonces=authenticator.nonce_policy,
        mode=authenticator.mode,
        issuer=_given("DPOP_ISSUER"),
        audience=_given("DPOP_AUDIENCE"),
        types=token_types(os.environ),
        jwks=None if options.jwks is None else _jwks(options.jwks),
        introspects=any(_given(name) for name in _INTROSPECTION),
        store=store,
        namespace=authenticator.namespace,
    )


def _given(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def _jwks(source: str) -> Mapping[str, Any]:
    """A key set from a file or a URL."""
    try:
        if source.startswith(("http://", "https://")):
            text = httpx2.get(source, timeout=_TIMEOUT_SECONDS, follow_redirects=True).raise_for_status().text
        else:
            text = content_of("--jwks", source)
        jwks: Mapping[str, Any] = json.loads(text)
        JWTVerifier(issuer="x", audience="x", jwks=jwks)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unusable(f"--jwks: the URL can't be fetched: {type(error).__name__}.") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Unusable('--jwks: must be a key set, {"keys": […]}, without private keys.') from None
    return jwks
