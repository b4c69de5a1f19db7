"""What is done with a request: sent once, or several times in every way that an attacker or a retry may."""

import asyncio
import time
from collections.abc import Callable
from copy import copy

from tests.soak.exchanges import Exchange
from tests.soak.traffic import Caller, Plan, Traffic


def _good(kind: str) -> Callable[[Traffic], tuple[Caller, Exchange]]:
    return lambda traffic: traffic.good(kind)


async def _once(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    await traffic.send(caller, exchange)


async def _at_once(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    servers = traffic.any_order() * 2
    await asyncio.gather(*(traffic.send(caller, exchange, server) for server in servers[:3]))


async def _again(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    for server in traffic.any_order()[:2]:
        await traffic.send(caller, exchange, server)


async def _later(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    await traffic.send(caller, exchange)
    await traffic.pause(traffic.dice.uniform(0.1, traffic.calendar.period))
    await traffic.send(caller, exchange)


async def _as_the_nonce_dies(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    """On both sides of the moment in which it dies: no server may have forgotten the proof before."""
    await traffic.send(caller, exchange)
    dies_at = time.time() if exchange.nonce is None else exchange.nonce.live_until
    for offset in sorted(traffic.dice.uniform(-0.2, 0.2) for _ in range(2)):
        await traffic.pause(dies_at + offset - time.time())
        await traffic.send(caller, exchange)


async def _after_a_repair(traffic: Traffic, caller: Caller, exchange: Exchange) -> None:
    """To each server, when the next broken thing has just come back."""
    await traffic.send(caller, exchange)
    await traffic.pause(traffic.calendar.longest_life, until=traffic.timeline.next_repair)
    for server in traffic.any_order()[:2]:
        await traffic.send(caller, exchange, server)


def _forgetful(traffic: Traffic) -> tuple[Caller, Exchange]:
    """A client that has lost its nonce."""
    caller = copy(traffic.dice.choice(traffic.callers))
    caller.nonce = None
    return traffic.good("without a nonce", caller)


def _outdated(traffic: Traffic) -> tuple[Caller, Exchange]:
    """A client that was away, and comes back with the nonce of that time."""
    caller = copy(traffic.dice.choice(traffic.callers))
    caller.nonce = traffic.dice.choice([*traffic.old_nonces, None])
    return traffic.good("with an old nonce", caller)


def _newcomer(traffic: Traffic) -> tuple[Caller, Exchange]:
    """A client that no server has seen, told a nonce by another."""
    caller = traffic.newcomer()
    caller.nonce = traffic.dice.choice(traffic.callers).nonce
    return traffic.good("from a new client", caller)


PLANS = (
    Plan(60, 1, _good("once"), _once),
    Plan(4, 3, _good("copies at once"), _at_once),
    Plan(5, 2, _good("again"), _again),
    Plan(5, 2, _good("again later"), _later),
    Plan(3, 3, _good("again as the nonce dies"), _as_the_nonce_dies),
    Plan(2, 3, _good("again after a repair"), _after_a_repair),
    Plan(2, 1, _forgetful, _once),
    Plan(2, 1, _outdated, _once),
    Plan(2, 1, _newcomer, _once),
)
