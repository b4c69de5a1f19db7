"""Changes of what a proof says about the request."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.differential import base64url
from tests.differential.drafts import NOW, PERIOD, SLOT, Draft, ath, drop, nonce_of, put
from tests.differential.drawn import Drawn
from tests.differential.mutations_text import Mutation

_CLAIMS = ("jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf")
_NUMBERS = (0, 1, -1, 1.5, 10**18, 10**19, 1e300, -1e300)
_TEXTS = ("", " ", "\u2003", "a", "0", "\ud800", "1700000000")
_VALUES: tuple[Any, ...] = (None, True, False, *_NUMBERS, *_TEXTS, [], {}, [1], ["a"], {"a": 1}, [[]])


def claim_types(drawn: Drawn, draft: Draft) -> None:
    put(draft.claims, drawn.pick(_CLAIMS), drawn.pick(_VALUES))


def without_claim(drawn: Drawn, draft: Draft) -> None:
    drop(draft.claims, drawn.pick(_CLAIMS))


def method(drawn: Drawn, draft: Draft) -> None:
    """RFC 9449 §4.2: `htm` is the method of the request, and methods are case-sensitive (RFC 9110 §9.1)."""
    said = drawn.pick(
        ("POST", "post", "GET", "POST ", " POST", "P\u00d6ST", "POST\0", "", "HEAD", "\uff30OST", "POSTPOST")
    )
    if drawn.chance():
        draft.request = replace(draft.request, method=said)
    else:
        put(draft.claims, "htm", said)


def escape_more(drawn: Drawn, uri: str) -> str:
    """Percent-encode one letter of the path: of an unreserved one it changes nothing."""
    start = uri.find("/", 8) + 1
    place = start + drawn.below(max(1, len(uri) - start))
    spelled = f"%{ord(uri[place : place + 1] or '/'):02{drawn.pick('xX')}}"
    return uri[:place] + spelled + uri[place + 1 :]


def change_letter(drawn: Drawn, uri: str) -> str:
    place = drawn.below(len(uri) + 1)
    letter = drawn.pick('/.%?#:@[]\\;=&+~ a0\u00e9\u212a\x00|^{}"<>`')
    return uri[:place] + letter + uri[place + drawn.below(2) :]


# Some spell the same URI in another way, some only seem to.
RESPELLINGS: tuple[Callable[[Drawn, str], str], ...] = (
    lambda drawn, uri: uri.replace(
        "https", drawn.pick(("HTTPS", "Https", "http", "wss", "ws", "ftp", "", "http\u017f"))
    ),
    lambda drawn, uri: uri.replace(
        "example", drawn.pick(("EXAMPLE", "Example", "ex%61mple", "\u0435xample", "example."))
    ),
    lambda drawn, uri: uri.replace(
        ".com", ".com" + drawn.pick((":443", ":0443", ":", ":80", ":8443", ":65536", ".", ":44a"))
    ),
    lambda drawn, uri: uri.replace("https://", "https://" + drawn.pick(("a@", "@", "a:b@", "/", "[::1]", "www."))),
    lambda drawn, uri: (
        uri + drawn.pick(("?a=b", "#a", "?", "#", "?a#b", "/?a", ";a", "/", "//", "/.", "/..", "%", "%2"))
    ),
    lambda drawn, uri: uri.replace(
        "/v1/", drawn.pick(("/./v1/", "/v0/../v1/", "/../v1/", "//v1/", "/v1/./", "/v1//", "/V1/"))
    ),
    lambda drawn, uri: uri.replace(
        "/v1/", drawn.pick(("/%2e/v1/", "/a/%2E%2e/v1/", "/v1%2f", "/v1\\", "/.v1/", "/v1/.../"))
    ),
    lambda drawn, uri: uri.replace("%2F", drawn.pick(("%2f", "/", "%252F", "%5C", "\\"))),
    lambda drawn, uri: uri.replace("://", drawn.pick((":", ":/", ":///", "//", "%3A//"))),
    lambda drawn, uri: uri.partition("/v1")[0] + drawn.pick(("", "/", "?", "#", "/#", "?/v1")),
    escape_more,
    escape_more,
    change_letter,
)


def respelled(drawn: Drawn, uri: str) -> str:
    for _ in range(drawn.pick((1, 1, 2, 3))):
        uri = drawn.pick(RESPELLINGS)(drawn, uri)
    return uri


def target(drawn: Drawn, draft: Draft) -> None:
    """Other spellings, other URIs, on either side or on both."""
    claimed, asked = draft.request.uri, draft.request.uri
    if drawn.below(3):
        claimed = respelled(drawn, claimed)
    if not drawn.below(3):
        asked = respelled(drawn, claimed if drawn.chance() else asked)
    put(draft.claims, "htu", claimed)
    draft.request = replace(draft.request, uri=asked)


def long_host(drawn: Drawn, draft: Draft) -> None:
    """On both sides the same, around the longest that is accepted."""
    uri = "https://" + "a" * (256 + drawn.below(8)) + "/"
    draft.request = replace(draft.request, uri=uri)
    put(draft.claims, "htu", uri.upper() if drawn.chance() else uri)


def handshake(drawn: Drawn, draft: Draft) -> None:
    """In a WebSocket handshake `wss` counts as `https`, and otherwise it does not."""
    draft.request = replace(draft.request, websocket=drawn.chance(), method="GET")
    put(draft.claims, "htm", "GET")
    put(draft.claims, "htu", draft.request.uri.replace("https", drawn.pick(("wss", "ws", "https", "WSS", "http"))))


def _edge(drawn: Drawn, at: float) -> int | float:
    """A number beside `at`, as near as numbers come."""
    nearest = (math.nextafter(at, -math.inf), math.nextafter(at, math.inf))
    return drawn.pick((at, int(at), at - 1, at + 1, *nearest, at - 0.5, at + 0.5, str(at)))


def times(drawn: Drawn, draft: Draft) -> None:
    """Around the edges of what is accepted, also at a broken second."""
    now = NOW + drawn.pick((0, 0, 0.25, 0.5, 1e-6, 0.999, 17))
    draft.request = replace(draft.request, now=now)
    for name in drawn.pick((("iat",), ("exp",), ("nbf",), ("exp", "nbf"), ("iat", "exp"))):
        put(draft.claims, name, _edge(drawn, now + drawn.pick((0, -300, 60, -60, 300, -3600, 3600))))


def token_hash(drawn: Drawn, draft: Draft) -> None:
    right, token = ath(draft.request.token), draft.request.token
    respelled_ath = (right, right + "=", right.lower(), right[:-1], right + "A", " " + right)
    in_others = (
        base64url.decode(right.encode()).hex(),
        right.replace("-", "+").replace("_", "/"),
        f"{right[:-1]}\u00e9",
    )
    value = drawn.pick((*respelled_ath, ath(token + "a"), ath(""), token, *in_others))
    if drawn.chance():
        put(draft.claims, "ath", value)
    else:
        draft.request = replace(draft.request, token=drawn.pick((token, token.upper(), token + "=", token[:-1], "a")))


def nonce(drawn: Drawn, draft: Draft) -> None:
    """Live ones, expired ones, those to come, and what is none."""
    slots = [nonce_of(SLOT + ahead) for ahead in (-1, 0, 1, -2, 2, -3, 5, -PERIOD)]
    live = nonce_of(SLOT)
    other = ["", " ", "a", live + " ", live.upper(), live * 4, '"', "\u00e9", "\ud800", "\\"]
    put(draft.claims, "nonce", drawn.pick((*slots, *other, None, 0, [nonce_of(SLOT)], {nonce_of(SLOT): 1})))


CLAIM_MUTATIONS: tuple[Mutation, ...] = (
    claim_types,
    without_claim,
    method,
    target,
    long_host,
    handshake,
    times,
    token_hash,
    nonce,
)
