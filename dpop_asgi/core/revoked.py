"""What an operator has revoked: one value under one key of the store, which all workers read again and again."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from dpop_asgi.core.key_binding import THUMBPRINT
from dpop_asgi.core.options import require

# 27 KB, which every worker reads up to four times a second. Whoever has to revoke more keys than that should withdraw
# the tokens at their issuer.
MOST_KEYS = 500
# Longer than any token or refresh token should live.
MOST_SECONDS = 366 * 86_400

_GENERATION = re.compile(r"[0-9a-f]{1,12}-[0-9a-f]{6}")
_MILLISECONDS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Revoked:
    """What is revoked.

    Attributes:
        changed: orders all states that there were: the milliseconds since the epoch, or more if clocks went back.
        generation: of nonces, the only one that is valid; empty if none was ever revoked. It begins with the time.
        keys: thumbprints, and until when they are rejected, in seconds since the epoch.
    """

    changed: int = 0
    generation: str = ""
    keys: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The state that `str` wrote; empty text is that of a store where nothing was ever revoked.

        Raises:
            ValueError: If it is anything else.
        """
        if not text:
            return cls()
        changed, generation, *entries = text.split(" ")
        keys = {}
        for entry in entries:
            thumbprint, _, until = entry.partition(":")
            keys[check_thumbprint(thumbprint)] = int(until)
        require("generation", generation == "-" or _GENERATION.fullmatch(generation), "a time and random digits")
        return cls(changed=int(changed), generation=generation.strip("-"), keys=MappingProxyType(keys))

    def __str__(self) -> str:
        if not self.changed:
            return ""
        keys = (f"{thumbprint}:{until}" for thumbprint, until in self.keys.items())
        return " ".join([str(self.changed), self.generation or "-", *keys])

    @property
    def nonces_revoked_at(self) -> float | None:
        """When the generation began, in seconds since the epoch."""
        return _began(self.generation) / _MILLISECONDS if self.generation else None

    def merged(self, known: Self) -> Self:
        """This state, unless it is older than what is `known`. Its generation is never older: no nonce comes back."""
        newest = self if self.changed >= known.changed else known
        generation = max(newest.generation, self.generation, known.generation, key=_began)
        if generation == newest.generation:
            return newest
        return type(self)(changed=newest.changed + 1, generation=generation, keys=newest.keys)

    def with_generation(self, suffix: str, now: float) -> Self:
        """The state in which no nonce is valid that was agreed before.

        Args:
            suffix: six random hexadecimal digits: no generation is ever the same as an earlier one.
            now: seconds since the epoch.
        """
        began = max(round(now * _MILLISECONDS), _began(self.generation) + 1)
        return self._changed(now, f"{began:x}-{suffix}", self.keys)

    def with_key(self, thumbprint: str, until: float, now: float) -> Self:
        """The state in which this key is rejected until then, in seconds since the epoch. Past ones are dropped.

        If it is revoked for longer already, it stays so: whoever revokes a key, perhaps in haste and for the default
        time, must not make it valid earlier.

        Raises:
            ValueError: If it isn't a thumbprint, or there are too many keys.
        """
        check_thumbprint(thumbprint)
        keys = self.present(now)
        keys[thumbprint] = max(math.ceil(until), keys.get(thumbprint, 0))
        require("thumbprint", len(keys) <= MOST_KEYS, f"one of at most {MOST_KEYS} that are revoked at a time")
        return self._changed(now, self.generation, keys)

    def without_key(self, thumbprint: str, now: float) -> Self:
        """The state in which this key is not rejected."""
        keys = {other: until for other, until in self.present(now).items() if other != thumbprint}
        return self._changed(now, self.generation, keys)

    def present(self, now: float) -> dict[str, int]:
        """The keys that are rejected now, and until when."""
        return {thumbprint: until for thumbprint, until in self.keys.items() if until > now}

    def _changed(self, now: float, generation: str, keys: Mapping[str, int]) -> Self:
        changed = max(round(now * _MILLISECONDS), self.changed + 1)
        return type(self)(changed=changed, generation=generation, keys=MappingProxyType(dict(keys)))


def _began(generation: str) -> int:
    return int(generation.partition("-")[0], 16) if generation else 0


def check_thumbprint(thumbprint: str) -> str:
    """The thumbprint.

    Raises:
        ValueError: If it isn't one.
    """
    require("thumbprint", THUMBPRINT.fullmatch(thumbprint), "the base64url SHA-256 thumbprint of a key, 43 characters")
    return thumbprint
