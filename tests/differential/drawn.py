"""Choices taken from bytes: random ones in a test, a fuzzer's in a fuzz target."""

from collections.abc import Sequence
from typing import TypeVar

_Choice = TypeVar("_Choice")


class Drawn:
    """Reads choices off the front of `data`; when it is used up, every choice is the first.

    So a short input is a simple case, and changing one byte changes few choices.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._place

    def raw(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        taken = self._data[self._place : self._place + size]
        self._place += len(taken)
        return taken

    def rest(self) -> bytes:
        return self.raw(self.left)

    def below(self, limit: int) -> int:
        """A number from 0 up to, but not including, `limit`."""
        return int.from_bytes(self.raw(1 if limit <= 256 else 3), "big") % limit

    def pick(self, choices: Sequence[_Choice]) -> _Choice:
        return choices[self.below(len(choices))]

    def chance(self) -> bool:
        return self.below(2) == 1

    def piece(self, limit: int = 256) -> bytes:
        """Some bytes, of a length that is drawn too."""
        return self.raw(self.below(limit))

    def long_piece(self, limit: int) -> bytes:
        """Some bytes, repeated: long values from few bytes, to find what takes longer than it should."""
        piece = self.piece(32)
        times = self.pick((1,) * 13 + (16, 1024, 4096))
        return (piece * times)[:limit]
