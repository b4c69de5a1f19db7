"""What must hold of every answer that a DPoP resource server ever gives, whatever was asked."""

import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from tests.support.challenges import NQCHAR, Challenge, checked_challenges
from tests.support.wire import Response

ALGORITHMS = "ES256 PS256 Ed25519 EdDSA"
MINUTES_5 = 300

# The answer codes of this suite: status, and scheme and error of each challenge in order.
CODES = {
    "OK": (200, []),
    "CHL": (401, [("DPoP", None)]),
    "IDP": (401, [("DPoP", "invalid_dpop_proof")]),
    "ITK": (401, [("DPoP", "invalid_token")]),
    "UDN": (401, [("DPoP", "use_dpop_nonce")]),
    "IRQ": (400, [("DPoP", "invalid_request")]),
}
# Where Bearer is offered too.
MIXED = CODES | {
    "CHL": (401, [("DPoP", None), ("Bearer", None)]),
    "ITB": (401, [("Bearer", "invalid_token"), ("DPoP", None)]),
    "IRQ": (400, [("DPoP", "invalid_request"), ("Bearer", "invalid_request")]),
}

# Words, and parts of words. What is shorter may stand in a request and in an answer by chance.
_METADATA = re.compile(rb'resource_metadata="[^"]*"')
_LONG = (re.compile(rb"[^\s\"',=]{12,}"), re.compile(rb"[^\s\"',=./:;&?]{12,}"))


def challenges(answer: Response) -> list[Challenge]:
    return checked_challenges(
        tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.fields)
    )


def errors(answer: Response) -> list[str | None]:
    """The error of each challenge, `None` where it has none."""
    return [challenge.parameters.get("error") for challenge in challenges(answer)]


def openid_challenges(line: str) -> list[tuple[str, dict[str, str]]]:
    """C-50, how simple parsers read: a comma, letters and a space begin a challenge, even inside quotes."""
    parts = [part.partition(" ") for part in re.split(r",\s*(?=[A-Za-z]+ )", line)]
    return [(scheme.lower(), dict(re.findall(r'([A-Za-z][\w-]*)\s*=\s*"([^"]+)"', rest))) for scheme, _, rest in parts]


def asks_for_nonce(answer: Response) -> bool:
    return answer.status == 401 and "use_dpop_nonce" in errors(answer)


def is_servers_own(answer: Response) -> bool:
    """Whether the HTTP server refused what is no HTTP, before any app saw it."""
    return answer.status == 400 and answer.body.startswith(b"Invalid HTTP request")


def judge(answer: Response, sent: Iterable[bytes] = (), *, nonces: bool) -> None:
    """Fail unless the answer is one that a resource server may give, with or without nonces in force."""
    assert answer.status < 500, answer
    if is_servers_own(answer):
        return
    judge_date(answer)
    judge_nonce(answer, nonces=nonces)
    judge_challenges(answer)
    if is_refusal(answer):
        judge_refusal(answer, sent)


def is_refusal(answer: Response) -> bool:
    """Whether the middleware refused; a 404 or 405 is the app's own answer."""
    return answer.status == 401 or bool(answer.all("WWW-Authenticate"))


def assert_answer(answer: Response, code: str, *, mixed: bool = False) -> None:
    """Fail unless `answer` is what `code` promises. Everything that holds of every answer has been judged before."""
    found = [(challenge.scheme, challenge.parameters.get("error")) for challenge in challenges(answer)]
    assert (answer.status, found) == (MIXED if mixed else CODES)[code]


def judge_date(answer: Response) -> None:
    """C-49."""
    date = answer.one("Date")
    assert date is not None, "no Date"
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) <= MINUTES_5


def judge_nonce(answer: Response, *, nonces: bool) -> None:
    """C-45, C-46; and while nonces are off none is ever sent, while they are on every 401 has one."""
    nonce = answer.one("DPoP-Nonce")
    assert nonce is None or (NQCHAR.fullmatch(nonce) and len(nonce) <= 128), f"no nonce: {nonce!r}"
    assert nonces or nonce is None, "a nonce although nonces are off"
    assert nonce is None or answer.status == 101 or answer.one("Cache-Control") == "no-store"
    assert not asks_for_nonce(answer) or nonce is not None, "use_dpop_nonce without a nonce"
    assert not (nonces and answer.status == 401) or nonce is not None, "a 401 without a nonce"


def judge_challenges(answer: Response) -> None:
    """Grammar, order, `algs`, and that the simplest parsers read the same (C-50)."""
    lines = answer.all("WWW-Authenticate")
    found = challenges(answer)
    assert not answer.all("Proxy-Authenticate")
    assert answer.status != 401 or "DPoP" in [one.scheme for one in found]
    assert len({one.scheme for one in found}) == len(found), "two challenges of one scheme"
    for line, one in zip(lines, found, strict=True):
        assert one.scheme in {"DPoP", "Bearer"}
        assert ("error" in one.parameters) == ("error_description" in one.parameters)
        assert one.scheme != "DPoP" or one.parameters.get("algs") == ALGORITHMS
        assert openid_challenges(line) == [(one.scheme.lower(), one.parameters)], line


def judge_refusal(answer: Response, sent: Iterable[bytes]) -> None:
    """Uncacheable, in small JSON, and without a word of the request."""
    assert answer.status in {400, 401, 403}, answer
    assert answer.one("Cache-Control") == "no-store"
    assert answer.one("Content-Type") == "application/json"
    assert len(answer.body) < 1024
    assert not answer.body or set(json.loads(answer.body)) <= {"error", "error_description"}
    free = [value.encode("latin-1") for name, value in answer.fields if name.lower() != "content-type"]
    # The address of the metadata has the host that was called: one of those that are served.
    said = _METADATA.sub(b"", b"\n".join([answer.body, *free]))
    for piece in _pieces(sent):
        assert piece not in said, f"echoed: {piece!r}"


def _pieces(sent: Iterable[bytes]) -> set[bytes]:
    values = list(sent)
    told = [*values, *map(_identifier, values)]
    return {piece for pattern in _LONG for value in told for piece in pattern.findall(value)}


def _identifier(value: bytes) -> bytes:
    """The `jti` inside a JWT, which an answer could give away decoded."""
    try:
        segment = value.split(b".")[1]
        return str(json.loads(urlsafe_b64decode(segment + b"=="))["jti"]).encode()
    except (IndexError, KeyError, RecursionError, TypeError, ValueError):
        return b""
