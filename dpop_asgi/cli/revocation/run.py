"""The commands, from their options to their exit codes."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from dpop_asgi.cli.check.environment import logged_warnings
from dpop_asgi.cli.check.text import sentence
from dpop_asgi.cli.demo.screen import error
from dpop_asgi.cli.explain.causes.times import date
from dpop_asgi.cli.revocation.look import Window, look
from dpop_asgi.cli.revocation.screen import print_keys, print_keys_json, print_window, print_window_json
from dpop_asgi.cli.revocation.workers import store_of, workers_of
from dpop_asgi.cli.unusable import Unusable
from dpop_asgi.errors import StoreError
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.revocation import Revocations
from dpop_asgi.revocation.revocations import DEFAULT_SECONDS
from dpop_asgi.stores.redis.read_only import ReadOnlyRedisStore
from dpop_asgi.stores.redis.store import RedisStore

T = TypeVar("T")
S = TypeVar("S", bound=RedisStore)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyOptions:
    """The options of `dpop-asgi revoke`."""

    key: str | None = None
    seconds: float | None = None
    undo: bool = False
    store: str | None = field(default=None, repr=False)
    as_json: bool = False


def show_nonces(url: str | None, *, as_json: bool) -> int:
    """Print the live window.

    Raises:
        Unusable: If an option can't be used.
    """
    namespace, policy = _with_nonces()

    async def window(store: ReadOnlyRedisStore) -> Window:
        return await look(store, policy, namespace=namespace, now=time.time())

    seen = _with(store_of(url, os.environ, ReadOnlyRedisStore), window)
    if seen is None:
        return 1
    (print_window_json if as_json else print_window)(seen)
    return 0


def revoke_nonces(url: str | None) -> int:
    """Start a new generation.

    Raises:
        Unusable: If an option can't be used.
    """
    namespace, _ = _with_nonces()

    async def revoke(store: RedisStore) -> bool:
        await Revocations(store, namespace=namespace).revoke_nonces()
        return True

    if not _with(store_of(url, os.environ, RedisStore), revoke):
        return 1
    print(f"Revoked in the namespace {namespace}: all nonces so far, and all proofs with one.")  # noqa: T201
    print("All workers notice within a second. Each client is challenged once.")  # noqa: T201
    return 0


def revoke_key(options: KeyOptions) -> int:
    """Revoke a key, undo that, or list those that are revoked.

    Raises:
        Unusable: If an option can't be used.
    """
    if options.key is None and (options.undo or options.seconds is not None):
        raise Unusable("--key: must be given with --for or --undo.")
    if options.undo and options.seconds is not None:
        raise Unusable("--for: has no meaning with --undo.")
    namespace = workers_of(os.environ).namespace

    async def change(store: RedisStore) -> dict[str, float]:
        revocations = Revocations(store, namespace=namespace)
        if options.key is not None and options.undo:
            await revocations.restore_key(options.key)
        elif options.key is not None:
            seconds = DEFAULT_SECONDS if options.seconds is None else options.seconds
            await revocations.revoke_key(options.key, seconds=seconds)
        return await revocations.revoked_keys()

    keys = _with(store_of(options.store, os.environ, RedisStore), change)
    if keys is None:
        return 1
    if options.as_json:
        print_keys_json(keys)
    else:
        _tell(options, keys, namespace)
    return 0


def _tell(options: KeyOptions, keys: dict[str, float], namespace: str) -> None:
    if options.key is None:
        print_keys(keys, time.time())
        return
    if options.undo:
        print(f"No longer revoked: {options.key}")  # noqa: T201
    else:
        print(f"Revoked: {options.key}\nUntil {date(keys[options.key])}.")  # noqa: T201
    print(f"All workers with the namespace {namespace} notice within a second.")  # noqa: T201


def _with_nonces() -> tuple[str, NoncePolicy]:
    workers = workers_of(os.environ)
    if workers.nonces is None:
        raise Unusable("Nonces are off: DPOP_NONCE_PERIOD is 0.")
    return workers.namespace, workers.nonces


def _with(store: S, act: Callable[[S], Awaitable[T]]) -> T | None:
    """What was done with the store; `None` if it failed, which is printed."""

    async def run() -> T:
        try:
            return await act(store)
        finally:
            await store.aclose()

    try:
        with logged_warnings():
            return asyncio.run(run())
    except ValueError as invalid:
        option, _, wanted = str(invalid).partition(":")
        raise Unusable(f"{ {'thumbprint': '--key', 'seconds': '--for'}.get(option, option) }:{wanted}.") from None
    except StoreError as failure:
        error(sentence(str(failure)))
        return None
