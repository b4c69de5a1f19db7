"""Sign, send, and after a nonce challenge sign again and send once more (RFC 9449 §8, §9); no I/O here."""

import re
import time
from collections.abc import Generator, Mapping
from typing import Protocol

from dpop_asgi.client.key import Key, target
from dpop_asgi.client.nonces import Nonces
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.strict_json import strict_json_object

_UNAUTHORIZED = 401
# Token endpoints respond 400 (RFC 6749 §5.2); some respond 401 where the client authenticates by a header.
_ENDPOINT_ERRORS = frozenset({400, 401})
_USE_NONCE = "use_dpop_nonce"

# Challenges of RFC 9110 §11.6.1: a parameter, quoted or not, or else the scheme of a challenge. Each begins where no
# token is cut in two, and a quotation mark may be missing at the end, so that reading takes linear time.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # noqa: S105 - a grammar, no password
_PARAMETER = rf'({_TOKEN}++)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|({_TOKEN}++))'
_CHALLENGE = re.compile(rf"(?<!{_TOKEN})(?:{_PARAMETER}|({_TOKEN}++)(?=[ \t,]|\Z))")
_LONGEST_CHALLENGE = 8192
# An OAuth error response has a handful of members.
_LONGEST_ERROR = 16384


class Response(Protocol):
    """What the flow looks at in a response; those of httpx2, httpx and requests fit."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found whatever their case is; values of the same name are joined by a comma."""
        ...

    @property
    def content(self) -> bytes:
        """The body. Looked at after 400 and 401 of token endpoints only."""
        ...


def header_flow(
    method: str,
    url: str,
    *,
    key: Key,
    nonces: Nonces,
    access_token: str | None = None,
    repeatable: bool = True,
    clock: Clock = time.time,
) -> Generator[dict[str, str], Response, None]:
    """The headers of a request, and after a challenge those of the second try. There is never a third.

    It is a generator: send the request with the headers that it yields, and send it the response. When it ends, the
    last response is the result.

    Args:
        method: the HTTP method.
        url: where the request goes.
        key: signs the proofs.
        nonces: where nonces are looked up and kept.
        access_token: sent under the DPoP scheme; `None` at a token endpoint.
        repeatable: whether the request can be sent twice; a body that was read from a stream cannot.
        clock: seconds since the epoch, for `iat`.
    """
    _, origin = target(url)
    nonce = nonces.last(origin)
    for tries_left in (1, 0):
        response = yield _headers(key.proof(method, url, access_token, nonce=nonce, issued_at=clock()), access_token)
        nonce = nonces.learn(origin, response.headers.get("DPoP-Nonce"))
        asks = _asks_for_nonce if access_token is not None else _endpoint_asks_for_nonce
        if not (tries_left and repeatable and nonce is not None and asks(response)):
            return


def challenge_error(response: Response) -> str | None:
    """The error of the DPoP challenge in a 401: empty if it has none, `None` if there is no such challenge."""
    line = response.headers.get("WWW-Authenticate") if response.status_code == _UNAUTHORIZED else None
    if line is None:
        return None
    scheme, error = "", None
    for name, quoted, plain, new_scheme in _CHALLENGE.findall(line[:_LONGEST_CHALLENGE]):
        if new_scheme:
            scheme = new_scheme.lower()
            error = "" if scheme == "dpop" and error is None else error
        elif scheme == "dpop" and name.lower() == "error":
            error = error or quoted or plain
    return error


def _headers(proof: str, access_token: str | None) -> dict[str, str]:
    return {"DPoP": proof} if access_token is None else {"Authorization": f"DPoP {access_token}", "DPoP": proof}


def _asks_for_nonce(response: Response) -> bool:
    return challenge_error(response) == _USE_NONCE


def _endpoint_asks_for_nonce(response: Response) -> bool:
    """RFC 9449 §8."""
    if response.status_code not in _ENDPOINT_ERRORS or len(response.content) > _LONGEST_ERROR:
        return False
    try:
        return strict_json_object(response.content).get("error") == _USE_NONCE
    except ValueError:
        return False
