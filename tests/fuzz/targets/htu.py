"""Two URIs have the same normal form exactly when they mean the same by RFC 3986 §6.2.2 and §6.2.3."""

import re

from dpop_asgi.core import htu
from tests.differential.drafts import URI
from tests.differential.drawn import Drawn
from tests.differential.mutations_claims import respelled
from tests.differential.rules import LONGEST_AUTHORITY, LONGEST_PATH, MOST_STEPS
from tests.differential.stopwatch import aside
from tests.differential.uris import Meaning, meaning
from tests.fuzz.catalogue import Target, demand

_STARTS = (
    "https://a.example/",
    "",
    "http://[::1]:8080/",
    "wss://a.example:443/a/../",
    "https://",
    "HTTPS://A.example/%7e",
)
_DOTS, _ESCAPES = ("/", "..", ".", "%2e"), ("%2F", "%7E", "%c3", "%")
_PIECES = (*_DOTS, *_ESCAPES, "a", "b", ";", "@", ":", "[", "|", "?", "#", "\u017f", "\u00e9")


def make() -> Target:
    return one


def one(data: bytes) -> None:
    drawn = Drawn(data)
    how, websocket = drawn.below(3), drawn.chance()
    if how == 0:
        first, _, second = drawn.rest().decode("utf-8", "surrogateescape").partition("\n")
    else:
        first = URI if how == 1 else drawn.pick(_STARTS) + _path(drawn)
        second = respelled(drawn, first)
    check(first, second, websocket=websocket)


@aside
def _path(drawn: Drawn) -> str:
    """Seldom a long one, since the judge is slow; one of more than 8 KB cannot come in a proof."""
    path, longest = "", drawn.pick((60,) * 63 + (9000,))
    for _ in range(drawn.below(12)):
        path += drawn.pick(_PIECES) * drawn.pick((1, 1, 1, 1, 2, 300, 4000))
    return path[:longest]


def check(first: str, second: str, *, websocket: bool) -> None:
    meant = [_meaning(uri, websocket=websocket) for uri in (first, second)]
    normal = [htu.normalise(uri, websocket=websocket) for uri in (first, second)]
    for uri, one_meant, one_normal in zip((first, second), meant, normal, strict=True):
        # A long path is left as it is spelled, whether or not it means something.
        if one_meant is not None or not _is_left_alone(uri):
            demand((one_meant is None) == (one_normal is None), f"{uri!r}: {one_normal!r}")
        if one_normal is not None and one_meant is not None:
            demand(_meaning(one_normal) == one_meant, f"{uri!r}: {one_normal!r} means something else")
        if one_normal is not None:
            demand(htu.normalise(one_normal) == one_normal, f"{one_normal!r} has another normal form")
    if not any(map(_is_left_alone, (first, second))):
        demand((normal[0] == normal[1]) == (meant[0] == meant[1]), f"{normal[0]!r}, {normal[1]!r}")
    # Two that are one must mean the same, however long they are.
    demand(normal[0] != normal[1] or meant[0] == meant[1], f"{normal[0]!r}, {normal[1]!r}")


def _is_left_alone(uri: str) -> bool:
    path = re.split("[?#]", uri)[0].partition("://")[2].partition("/")[2]
    dots = re.search(r"/(\.|%2e)", "/" + path, re.IGNORECASE)
    odd = len(re.findall(r"[%\[\]|^]", path))
    return len(path) >= LONGEST_PATH or odd > MOST_STEPS or (dots is not None and path.count("/") >= MOST_STEPS)


@aside
def _meaning(uri: str, *, websocket: bool = False) -> Meaning | None:
    authority = re.split("[/?#]", uri + "//")[2]
    return meaning(uri, websocket=websocket) if len(authority) <= LONGEST_AUTHORITY else None
