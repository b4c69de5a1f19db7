"""The steps of the demo, each with the response that is expected and the one that was received."""

from collections.abc import Iterable
from dataclasses import dataclass

from dpop_asgi.cli.demo.client import Exchange
from dpop_asgi.errors import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The expected response.

    Attributes:
        status: its status.
        error: the OAuth error code.
        reason: the reason that the server logs.
        new_nonce: whether it must carry a different nonce than the proof; otherwise it may.
        content: its content; empty if it may be anything.
    """

    status: int
    error: str | None = None
    reason: Reason | None = None
    new_nonce: bool = False
    content: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of the demo.

    Attributes:
        title: a few words.
        sentence: who tries what, and why.
        look_at: the part of the proof that makes the difference: the name of a claim, or `key`.
        nonce: the nonce in the proof.
        expected: the expected response.
        seen: the request that was sent and its actual response.
    """

    title: str
    sentence: str
    look_at: str | None = None
    nonce: str | None = None
    expected: Expected
    seen: Exchange

    @property
    def new_nonce(self) -> bool:
        """Whether the response carries a different nonce than the proof."""
        return self.seen.nonce not in {None, self.nonce}

    @property
    def agrees(self) -> bool:
        """Whether the response is as expected."""
        seen, expected = self.seen, self.expected
        return (
            (seen.status, seen.error, seen.reason) == (expected.status, expected.error, expected.reason)
            and (self.new_nonce or not expected.new_nonce)
            and expected.content in {"", seen.content}
        )


def exit_code(steps: Iterable[Step]) -> int:
    """0 if all responses are as expected, else 1."""
    return 0 if all(step.agrees for step in steps) else 1
