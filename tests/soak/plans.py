"""What is done with a request: sent once, or several times in every way that an attacker or a retry may."""

import asyncio
import secrets
import time
from collections.abc import Callable
from copy import copy

from dpop_asgi import Reason
from dpop_asgi.core.private_key import PrivateKey
from tests.soak.traffic import HTU, Caller, Plan, Traffic
from tests.support.exchanges import CHALLENGED, KEY_UNKNOWN, Exchange, Outcome, bad_proof, bad_token
from tests.support.wire import Field

_STRANGER = PrivateKey.generate()


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
    caller.name, caller.nonce = "forgetful", None
    return traffic.good("without a nonce", caller)


def _outdated(traffic: Traffic) -> tuple[Caller, Exchange]:
    """A client that was away, and comes back with the nonce of that time."""
    caller = copy(traffic.dice.choice(traffic.callers))
    caller.name, caller.nonce = "outdated", traffic.dice.choice([*traffic.old_nonces, None])
    return traffic.good("with an old nonce", caller)


def _newcomer(traffic: Traffic) -> tuple[Caller, Exchange]:
    """A client that no server has seen, told a nonce by another."""
    caller = traffic.newcomer()
    caller.nonce = traffic.dice.choice(traffic.callers).nonce
    return traffic.good("from a new client", caller)


Attack = Callable[[Traffic, Caller], tuple[list[Field], Outcome]]
_EARLY = ("nobody", "Bearer", "garbage", "huge proof", "huge token", "two proofs", "another URI", "old proof")


def _headers(caller: Caller, token: str | None = None, **changes) -> list[Field]:
    nonce = None if caller.nonce is None else caller.nonce.value
    client = changes.pop("client", caller.client)
    return list(client.headers("GET", HTU, token or caller.token, **{"nonce": nonce, **changes}).items())


def _nonsense(traffic: Traffic) -> str:
    return secrets.token_urlsafe(traffic.dice.randrange(1, 4000))


def _token(traffic: Traffic, caller: Caller, **changes) -> str:
    return traffic.issuer.access_token(caller.client, **changes)


ATTACKS: dict[str, Attack] = {
    "nobody": lambda _, __: ([], Outcome("401 without a code", Reason.AUTHORIZATION_MISSING)),
    "Bearer": lambda _, caller: (
        [("Authorization", f"Bearer {caller.token}")],
        bad_token(Reason.BEARER_NOT_ACCEPTED),
    ),
    "garbage": lambda traffic, caller: (
        [("Authorization", f"DPoP {caller.token}"), ("DPoP", _nonsense(traffic))],
        bad_proof(Reason.PROOF_MALFORMED),
    ),
    "huge proof": lambda _, caller: (
        _headers(caller, claims={"padding": "x" * 9000}),
        bad_proof(Reason.PROOF_TOO_LARGE),
    ),
    "huge token": lambda _, __: (
        [("Authorization", "DPoP " + "x" * 20_000), ("DPoP", "x")],
        Outcome("400 invalid_request", Reason.AUTHORIZATION_TOO_LARGE),
    ),
    "two proofs": lambda _, caller: (
        [*_headers(caller), ("DPoP", caller.client.proof("GET", HTU))],
        bad_proof(Reason.PROOF_REPEATED),
    ),
    "another URI": lambda _, caller: (
        _headers(caller, claims={"htu": "https://elsewhere.example/resource"}),
        bad_proof(Reason.TARGET_MISMATCH),
    ),
    "old proof": lambda _, caller: (
        _headers(caller, claims={"iat": int(time.time()) - 400}),
        bad_proof(Reason.ISSUED_TOO_EARLY),
    ),
    "invented nonce": lambda _, caller: (_headers(caller, nonce=secrets.token_urlsafe(16)), CHALLENGED),
    "wrong key": lambda _, caller: (_headers(caller, signed_by=_STRANGER), bad_proof(Reason.SIGNATURE_INVALID)),
    "stolen token": lambda traffic, caller: (
        _headers(caller, client=traffic.attacker.client),
        bad_token(Reason.BINDING_MISMATCH),
    ),
    "expired token": lambda traffic, caller: (
        _headers(caller, _token(traffic, caller, claims={"exp": int(time.time()) - 60})),
        bad_token(Reason.TOKEN_EXPIRED),
    ),
    "forged token": lambda traffic, caller: (
        _headers(caller, _token(traffic, caller, signed_by=_STRANGER)),
        bad_token(Reason.TOKEN_SIGNATURE),
    ),
    "invented key": lambda traffic, caller: (
        _headers(caller, _token(traffic, caller, header={"kid": secrets.token_hex(4)}, signed_by=_STRANGER)),
        KEY_UNKNOWN,
    ),
}


def _hostile(traffic: Traffic) -> tuple[Caller, Exchange]:
    name, caller = traffic.dice.choice(sorted(ATTACKS)), traffic.dice.choice(traffic.callers)
    fields, wanted = ATTACKS[name](traffic, caller)
    asks_nonce = name not in _EARLY
    asks = {"asks_nonce": asks_nonce, "asks_keys": asks_nonce and name not in {"invented nonce", "wrong key"}}
    return caller, traffic.request(caller, f"hostile: {name}", fields, wanted=wanted, **asks)


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
    Plan(14, 1, _hostile, _once),
)
