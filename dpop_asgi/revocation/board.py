"""Where in the store it is written what is revoked, and how it is changed."""

import asyncio
import secrets
from collections.abc import Callable

from dpop_asgi.core.ports import Replaceable
from dpop_asgi.core.revoked import MOST_SECONDS, Revoked
from dpop_asgi.errors import StoreError

# An empty value only says that nothing was revoked.
_EMPTY_SECONDS = 60.0
# More than a change takes. After a crash in the middle of one, the next has to wait for so long.
_LOCK_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 0.05
# So that who unlocks doesn't take away another's lock for longer than it takes to notice.
_UNLOCKED_SECONDS = 0.001


class Board:
    """The value with everything that is revoked, for one hash tag.

    Args:
        store: shared by all workers.
        namespace: prefix of the keys.
        tag: hash tag of the keys; empty unless the store is a cluster.
    """

    def __init__(self, store: Replaceable, *, namespace: str, tag: str = "") -> None:
        self._store = store
        self._key = f"{namespace}:revoked{f'{{{tag}}}' if tag else ''}:v1"

    async def read(self, known: Revoked) -> Revoked:
        """What is revoked. Where the store has nothing, it gets what is `known`.

        Raises:
            StoreError: If the store can't tell.
        """
        mine = str(known)
        text = await self._store.put_if_absent(self._key, mine, ttl=_ttl(known))
        if text == mine:
            return known
        try:
            return Revoked.parse(text)
        except ValueError:
            raise StoreError(
                f"what is stored under {self._key} isn't from dpop_asgi: does another program use this namespace?"
            ) from None

    async def change(self, by: Callable[[Revoked], Revoked], *, patience: float = _LOCK_SECONDS + 1) -> Revoked:
        """Change what is revoked, one change after the other.

        Args:
            by: gives the new state; raises nothing but `ValueError`.
            patience: seconds to wait for another change.

        Returns:
            The new state.

        Raises:
            StoreError: If the store doesn't respond, or others are changing it all the time.
        """
        lock, mine = f"{self._key}:lock", secrets.token_hex(8)
        deadline = asyncio.get_running_loop().time() + patience
        while await self._store.put_if_absent(lock, mine, ttl=_LOCK_SECONDS) != mine:
            if asyncio.get_running_loop().time() > deadline:
                raise StoreError("what is revoked is being changed by others: try again")
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        try:
            state = by(await self.read(Revoked()))
            await self._store.replace(self._key, str(state), ttl=_ttl(state))
        finally:
            await self._store.replace(lock, mine, ttl=_UNLOCKED_SECONDS)
        return state


def _ttl(state: Revoked) -> float:
    return float(MOST_SECONDS) if state.changed else _EMPTY_SECONDS
