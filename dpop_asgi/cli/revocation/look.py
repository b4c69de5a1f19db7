"""The window of nonces as it is in the store, which is only read."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from dpop_asgi.cli.explain.message import shortened
from dpop_asgi.core.nonce_window import NoncePolicy, SlotNonces, key_prefix
from dpop_asgi.core.revoked import Revoked
from dpop_asgi.revocation.board import Board
from dpop_asgi.stores.redis.read_only import ReadOnlyRedisStore


@dataclass(frozen=True, slots=True)
class Slot:
    """What workers agreed on for a slot.

    Attributes:
        number: of the slot.
        begins: in seconds since the epoch.
        ends: when its nonces are accepted no longer.
        accepted: whether they are accepted now.
        issued: whether they are issued now.
        agreed: for how many hash tags there is one.
        nonces: shortened.
    """

    number: int
    begins: float
    ends: float
    accepted: bool
    issued: bool
    agreed: int
    nonces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What is in the store.

    Attributes:
        now: when it was looked at.
        namespace: prefix of the keys.
        policy: how nonces rotate.
        tags: the number of hash tags.
        incarnations: of the masters, shortened; `None` where that isn't known, and the fence is off.
        revoked: what is revoked: of several hash tags, what was written last.
        slots: those that are accepted now, and those ahead.
    """

    now: float
    namespace: str
    policy: NoncePolicy
    tags: int
    incarnations: tuple[str | None, ...]
    revoked: Revoked
    slots: tuple[Slot, ...] = field(repr=False)


async def look(store: ReadOnlyRedisStore, policy: NoncePolicy, *, namespace: str, now: float) -> Window:
    """Look at the nonces, and at what is revoked.

    Raises:
        StoreError: If the store does not respond.
    """
    boards = [Board(store, namespace=namespace, tag=tag) for tag in store.tags]
    states = await asyncio.gather(*(board.read() for board in boards))
    eras = await asyncio.gather(
        *(
            _era(
                store,
                policy,
                key_prefix(namespace, "nonce", tag),
                SlotNonces(policy, tag=tag, generation=state.generation),
                now,
            )
            for tag, state in zip(store.tags, states, strict=True)
        )
    )
    return Window(
        now=now,
        namespace=namespace,
        policy=policy,
        tags=len(store.tags),
        incarnations=tuple(dict.fromkeys(era.incarnation and shortened(era.incarnation) for era in eras)),
        revoked=max(states, key=lambda state: state.changed),
        slots=tuple(_slots(policy, eras, now)),
    )


async def _era(
    store: ReadOnlyRedisStore, policy: NoncePolicy, prefix: str, unfenced: SlotNonces, now: float
) -> SlotNonces:
    """The nonces of one hash tag. Workers whose fence is off have theirs under other keys."""
    incarnation = await store.incarnation(f"{prefix}look:v2")
    fenced = SlotNonces(policy, incarnation=incarnation, generation=unfenced.generation)
    for era in (fenced, unfenced):
        slots = _numbers(policy, now)
        nonces = await asyncio.gather(*(store.read(era.key(prefix, slot)) for slot in slots))
        for slot, nonce in zip(slots, nonces, strict=True):
            if nonce:
                era.add(slot, nonce)
        if any(nonces):
            return era
    return fenced


def _numbers(policy: NoncePolicy, now: float) -> range:
    return range(policy.slot(now) - policy.grace, policy.slot(now) + policy.lookahead + 1)


def _slots(policy: NoncePolicy, eras: list[SlotNonces], now: float) -> Iterator[Slot]:
    for number in _numbers(policy, now):
        nonces = [nonce for era in eras if (nonce := era.get(number)) is not None]
        yield Slot(
            number,
            number * policy.period,
            policy.end(number),
            number <= policy.slot(now) + 1,
            any(era.to_issue(now) in nonces for era in eras),
            len(nonces),
            tuple(map(shortened, nonces)),
        )
