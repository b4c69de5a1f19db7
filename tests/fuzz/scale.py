"""How much one request costs, in verifications of a P-256 signature, before any signature of it is looked at.

Processor time of this thread, and of many times the shortest: what else the machine does is not in it. But a machine
that is busy slows down the interpreter by more than OpenSSL. So a verification is taken for what an ordinary challenge
is known to cost of one, wherever that is more.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from time import thread_time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dpop_asgi import AccessToken, Authenticator, DPoPMiddleware, InvalidToken, MemoryStore, Reason
from tests.fuzz.shapes import NOW, ORDINARY, SERVERS, Shape, scope_of

# More than this nobody without a token is to cost.
MOST_VERIFICATIONS = 2.0
# Of a challenge for a key that was never seen: a little less than `tests.benchmarks` measures.
_OF_ONE = 0.35
_AT_ONCE = 5
_FEWEST_ROUNDS = 3

Run = Callable[[], object]


class NotRefusedError(AssertionError):
    """A request was answered in another way than by a refusal before its signature."""


class Scale:
    """Weighs requests against verifications; both again and again, in turn."""

    def __init__(self) -> None:
        key, message = ec.generate_private_key(ec.SECP256R1()), b"m" * 300
        algorithm, public = ec.ECDSA(hashes.SHA256()), key.public_key()
        signature = key.sign(message, algorithm)
        self._apps = {name: _protected(options) for name, options in SERVERS.items()}
        self._verify = lambda: public.verify(signature, message, algorithm)
        self._challenge = self._request(ORDINARY)
        self._log = logging.getLogger("dpop_asgi")

    def weigh(self, shape: Shape, *, rounds: int, enough: float = 0.0) -> float:
        """Verifications; all of the rounds are waited for only while it is more than `enough`."""
        request = self._request(shape)
        cost = verification = challenge = math.inf
        for number in range(rounds):
            cost = min(cost, self._logged(request))
            verification = min(verification, _shortest(self._verify))
            challenge = min(challenge, _shortest(self._challenge))
            weight = cost / max(verification, challenge / _OF_ONE)
            if weight <= enough and number >= _FEWEST_ROUNDS:
                break
        return weight

    def _logged(self, request: Run) -> float:
        """With the line that is written where refusals are logged."""
        handlers, propagate, level = self._log.handlers, self._log.propagate, self._log.level
        self._log.handlers, self._log.propagate = [_Formatting()], False
        self._log.setLevel(logging.INFO)
        try:
            return _shortest(request)
        finally:
            self._log.handlers, self._log.propagate = handlers, propagate
            self._log.setLevel(level)

    def _request(self, shape: Shape) -> Run:
        app, scope = self._apps[shape.server], scope_of(shape)
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        def run() -> None:
            sent.clear()
            try:
                # Without an event loop: nothing before the signature waits for anything.
                app(scope, _nothing, send).send(None)
            except StopIteration:
                if sent and sent[0]["status"] in {400, 401}:
                    return
            raise NotRefusedError(f"{shape}: {sent}")

        return run


class _Formatting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


def _shortest(run: Run) -> float:
    shortest = math.inf
    for _ in range(_AT_ONCE):
        started = thread_time()
        run()
        shortest = min(shortest, thread_time() - started)
    return shortest


def _protected(options: dict[str, Any]) -> Any:
    """A middleware that has its nonces, and wants one of every proof."""

    def clock() -> float:
        return NOW

    authenticator = Authenticator(verify_token=_no_token, store=MemoryStore(clock=clock), clock=clock)
    app = DPoPMiddleware(_never, authenticator=authenticator, **options)
    asyncio.run(_prepared(authenticator, app))
    return app


async def _prepared(authenticator: Authenticator, app: DPoPMiddleware) -> None:
    async def ignore(_: object) -> None:
        """A first request, after which nothing needs an event loop."""

    await authenticator.ready()
    await app(scope_of(ORDINARY), _nothing, ignore)


async def _no_token(_: str) -> AccessToken:
    raise InvalidToken(Reason.TOKEN_REJECTED)


async def _never(*_: object) -> None:
    raise NotRefusedError("a request has passed")


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request"}
