"""What is added to the headers of responses, and what is taken away."""

from collections.abc import Iterable
from operator import itemgetter

from dpop_asgi.asgi.interface import Headers, Message
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.errors import DPoPError

_EXPOSE = b"access-control-expose-headers"
_EXPOSED = (b"DPoP-Nonce", b"WWW-Authenticate")
_NAME = itemgetter(0)

# What an app says about its own body, or about how its response may be used. It does not hold for another response.
_OF_THE_BODY = frozenset(
    {
        b"accept-ranges",
        b"age",
        b"allow",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"dpop-nonce",
        b"etag",
        b"expires",
        b"last-modified",
        b"link",
        b"location",
        b"refresh",
        b"retry-after",
        b"trailer",
        b"transfer-encoding",
        b"www-authenticate",
    }
)


def with_nonce(headers: Iterable[tuple[bytes, bytes]], nonce: str) -> Headers:
    """RFC 9449 §8.2: one nonce, on a response that then must not be cached. The app's own nonces are removed."""
    kept = without(headers, b"dpop-nonce", b"cache-control", b"expires")
    return [*kept, (b"dpop-nonce", nonce.encode("ascii")), (b"cache-control", b"no-store")]


def with_newer_nonce(message: Message, caller: Caller, authenticator: Authenticator) -> Headers:
    """RFC 9449 §8.2: a newer nonce on any response, if there is one. The app's own nonces are removed."""
    headers: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
    if caller.nonce is None:
        return list(headers)
    nonce = authenticator.replacement_nonce(caller)
    return without(headers, b"dpop-nonce") if nonce is None else with_nonce(headers, nonce)


async def with_any_nonce(message: Message, authenticator: Authenticator) -> Headers:
    """A nonce for a client that may have none yet; left out while the store is unavailable."""
    headers = list(message.get("headers", ()))
    try:
        nonce = await authenticator.challenge_nonce()
    except DPoPError:
        return headers
    return headers if nonce is None else with_nonce(headers, nonce)


def with_exposure(headers: Headers, request_headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Let scripts on other origins read challenge and nonce, beside what the app exposes (WHATWG Fetch §3.2.5)."""
    if b"origin" not in map(_NAME, request_headers):
        return headers
    listed = b",".join(value for name, value in headers if name.lower() == _EXPOSE)
    exposed = [name.strip() for name in listed.split(b",") if name.strip()]
    known = {name.lower() for name in exposed}
    exposed += [name for name in _EXPOSED if name.lower() not in known]
    return [*without(headers, _EXPOSE), (_EXPOSE, b", ".join(exposed))]


def of_another_body(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What stays of a response whose status and body are replaced: CORS, cookies, request ids."""
    return without(headers, *_OF_THE_BODY)


def without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> Headers:
    """The headers without those with one of these names."""
    return [(name, value) for name, value in headers if name.lower() not in names]
