"""What an operator does: revoke nonces, and keys."""

import asyncio
import secrets
import time
from collections.abc import Callable

from dpop_asgi.core.options import require
from dpop_asgi.core.ports import Clock, Replaceable, Store
from dpop_asgi.core.revoked import MOST_SECONDS, Revoked, check_thumbprint
from dpop_asgi.errors import StoreError
from dpop_asgi.revocation.board import Board
from dpop_asgi.revocation.watch import tags_of

# Tokens live for minutes or hours.
DEFAULT_SECONDS = 86_400.0

_SUFFIX_BYTES = 3


class Revocations:
    """Revokes nonces and keys, for all workers with this store and namespace. They notice within a second.

    Args:
        store: that of the workers: a `RedisStore`, or the `MemoryStore` of this process.
        namespace: that of the workers.
        clock: seconds since the epoch.

    Raises:
        ValueError: If the values of the store can't be replaced.
    """

    def __init__(self, store: Store, *, namespace: str = "dpop", clock: Clock = time.time) -> None:
        if not isinstance(store, Replaceable):
            raise ValueError("store: must be one whose values can be replaced, such as a RedisStore")
        # Workers whose fence is off know no hash tags.
        tags = dict.fromkeys(("", *tags_of(store)))
        self._boards = [Board(store, namespace=namespace, tag=tag) for tag in tags]
        self._clock = clock

    async def revoke_nonces(self) -> None:
        """Make all nonces invalid that were issued so far, and with them all proofs that carry one.

        Every client is challenged once, and continues with a new nonce.

        Raises:
            StoreError: If it isn't written on all masters. Do it again then.
        """
        suffix, now = secrets.token_hex(_SUFFIX_BYTES), self._clock()
        await self._change(lambda revoked: revoked.with_generation(suffix, now))

    async def revoke_key(self, thumbprint: str, *, seconds: float = DEFAULT_SECONDS) -> None:
        """Reject all proofs made with a key, whatever token they come with.

        If the key is revoked for longer already, it stays so; `restore_key` ends that.

        Args:
            thumbprint: of the key (RFC 7638, SHA-256, base64url): `Caller.key_thumbprint`, and `cnf.jkt` of its tokens.
            seconds: for how long, at most 366 days. As long as tokens that are bound to it can be valid.

        Raises:
            ValueError: If it isn't a thumbprint, or 500 keys are revoked already.
            StoreError: If it isn't written on all masters. Do it again then.
        """
        check_thumbprint(thumbprint)
        require("seconds", 0 < seconds <= MOST_SECONDS, f"a number of seconds above 0, at most {MOST_SECONDS}")
        now = self._clock()
        await self._change(lambda revoked: revoked.with_key(thumbprint, now + seconds, now))

    async def restore_key(self, thumbprint: str) -> None:
        """Accept a key again before its time is over. Does nothing if it isn't revoked.

        Raises:
            ValueError: If it isn't a thumbprint.
            StoreError: If it isn't written on all masters. Do it again then.
        """
        check_thumbprint(thumbprint)
        now = self._clock()
        await self._change(lambda revoked: revoked.without_key(thumbprint, now))

    async def revoked_keys(self) -> dict[str, float]:
        """The thumbprints of the keys that are revoked now, and until when, in seconds since the epoch.

        Raises:
            StoreError: If the store does not respond.
        """
        found = await self._read()
        now = self._clock()
        return {thumbprint: float(until) for revoked in found for thumbprint, until in revoked.present(now).items()}

    async def nonces_revoked_at(self) -> float | None:
        """When nonces were revoked last, in seconds since the epoch; `None` if they never were.

        Raises:
            StoreError: If the store does not respond.
        """
        return max((revoked.nonces_revoked_at or 0.0 for revoked in await self._read()), default=0.0) or None

    async def _read(self) -> list[Revoked]:
        return await asyncio.gather(*(board.read() for board in self._boards))

    async def _change(self, by: Callable[[Revoked], Revoked]) -> None:
        """On all masters, whatever happens to one of them."""
        results = await asyncio.gather(*(board.change(by) for board in self._boards), return_exceptions=True)
        for failure in results:
            if isinstance(failure, StoreError) and len(results) > 1:
                raise StoreError(f"not revoked on all masters, do it again: {failure}") from failure
            if isinstance(failure, BaseException):
                raise failure
