"""Where in the store it is written what is revoked, and how it is changed."""

import asyncio
import secrets
from collections.abc import Callable

from dpop_asgi.core.nonce_window import key_prefix
from dpop_asgi.core.ports import Replaceable
from dpop_asgi.core.revoked import MOST_SECONDS, Revoked
from dpop_asgi.errors import StoreError

# More than a change takes. After a crash in the middle of one, the next has to wait for so long.
_TURN_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 0.05


class Board:
    """The value with everything that is revoked, for one hash tag.

    Args:
        store: shared by all workers.
        namespace: prefix of the keys.
        tag: hash tag of the keys; empty unless the store is a cluster.
    """

    def __init__(self, store: Replaceable, *, namespace: str, tag: str = "") -> None:
        self._store = store
        self._key = f"{key_prefix(namespace, 'revoked', tag)}v1"
        self._last = "", Revoked()

    async def read(self) -> Revoked:
        """What is revoked.

        Raises:
            StoreError: If the store can't tell.
        """
        text = await self._store.read(self._key)
        try:
            # It changes once in a while, and is read all the time.
            if text != self._last[0]:
                self._last = text, Revoked.parse(text)
            return self._last[1]
        except ValueError:
            raise StoreError(
                f"what is stored under {self._key} isn't from dpop_asgi: does another program use this namespace?"
            ) from None

    async def change(self, by: Callable[[Revoked], Revoked], *, patience: float = _TURN_SECONDS + 1) -> Revoked:
        """Change what is revoked. Of several that do so at once, each changes what the one before has written.

        Args:
            by: gives the new state, with a `changed` of its own.
            patience: seconds to wait for the others.

        Returns:
            The new state.

        Raises:
            StoreError: If the store doesn't respond, or others are changing it all the time.
        """
        mine, deadline = secrets.token_hex(8), asyncio.get_running_loop().time() + patience
        while not await self._may_follow(before := await self.read(), mine):
            if asyncio.get_running_loop().time() >= deadline:
                raise StoreError("what is revoked is being changed by others: try again")
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        state = by(before)
        await self._store.replace(self._key, str(state), ttl=float(MOST_SECONDS))
        return state

    async def _may_follow(self, before: Revoked, mine: str) -> bool:
        """Whether nobody else may write the state that follows `before`, and nobody has."""
        turn = f"{self._key}:after:{before.changed}"
        is_mine = await self._store.put_if_absent(turn, mine, ttl=_TURN_SECONDS) == mine
        return is_mine and await self.read() == before
