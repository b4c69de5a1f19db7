"""The answer codes of this suite: what each promises, and whether an answer keeps it."""

from dataclasses import dataclass

from tests.conformance.judge import challenges
from tests.support.wire import Response


@dataclass(frozen=True, slots=True)
class Expected:
    """Status, and scheme and error of each challenge in order; `mixed` where Bearer is offered too."""

    status: int
    challenges: tuple[tuple[str, str | None], ...]
    mixed: tuple[tuple[str, str | None], ...]


def _alone(status: int, error: str) -> Expected:
    return Expected(status, (("DPoP", error),), (("DPoP", error),))


CODES = {
    "OK": Expected(200, (), ()),
    "CHL": Expected(401, (("DPoP", None),), (("DPoP", None), ("Bearer", None))),
    "IDP": _alone(401, "invalid_dpop_proof"),
    "ITK": _alone(401, "invalid_token"),
    "ITB": Expected(401, (), (("Bearer", "invalid_token"), ("DPoP", None))),
    "UDN": _alone(401, "use_dpop_nonce"),
    "IRQ": Expected(400, (("DPoP", "invalid_request"),), (("DPoP", "invalid_request"), ("Bearer", "invalid_request"))),
}


def assert_answer(answer: Response, code: str, *, mixed: bool = False) -> None:
    """Fail unless `answer` is what `code` promises. Everything that holds of every answer has been judged before."""
    expected = CODES[code]
    found = tuple((challenge.scheme, challenge.parameters.get("error")) for challenge in challenges(answer))
    assert (answer.status, found) == (expected.status, expected.mixed if mixed else expected.challenges)
    if code == "UDN":
        assert answer.all("WWW-Authenticate")[0].startswith('DPoP error="use_dpop_nonce"')
        assert answer.one("DPoP-Nonce")
