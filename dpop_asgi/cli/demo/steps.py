"""One thing that the demo tries: the answer it has to get, and the answer it got."""

from collections.abc import Iterable
from dataclasses import dataclass

from dpop_asgi.cli.demo.client import Exchange
from dpop_asgi.errors import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The answer that a step has to get.

    Attributes:
        status: of the answer.
        error: the OAuth error code.
        reason: what the server writes to its log.
        new_nonce: whether the answer has to bring another nonce than the one in the proof; otherwise it may.
        content: what the answer has to say; anything if empty.
    """

    status: int
    error: str | None = None
    reason: Reason | None = None
    new_nonce: bool = False
    content: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that was tried.

    Attributes:
        title: a few words.
        sentence: who tries what, and why.
        look_at: the part of the proof that makes the difference: the name of a claim, or `key`.
        nonce: the nonce in the proof.
        expected: the answer it has to get.
        seen: the exchange as it was.
    """

    title: str
    sentence: str
    look_at: str | None = None
    nonce: str | None = None
    expected: Expected
    seen: Exchange

    @property
    def new_nonce(self) -> bool:
        """Whether the answer brought another nonce than the one in the proof."""
        return self.seen.nonce not in {None, self.nonce}

    @property
    def agrees(self) -> bool:
        """Whether the answer is the expected one."""
        seen, expected = self.seen, self.expected
        return (
            (seen.status, seen.error, seen.reason) == (expected.status, expected.error, expected.reason)
            and (self.new_nonce or not expected.new_nonce)
            and expected.content in {"", seen.content}
        )


def exit_code(steps: Iterable[Step]) -> int:
    """0 when every answer is the expected one, else 1."""
    return 0 if all(step.agrees for step in steps) else 1
