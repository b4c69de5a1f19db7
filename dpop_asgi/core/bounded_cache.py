"""A cache of limited size."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(OrderedDict[K, V]):
    """Drops the entry that was kept longest ago when it is full. Looking an entry up does not count as keeping it.

    Args:
        size: the number of entries; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def keep(self, key: K, value: V) -> V | None:
        """Store `value` as the newest entry. Returns the value that was dropped for it, if any."""
        self[key] = value
        self.move_to_end(key)
        return self.popitem(last=False)[1] if len(self) > self.size else None
