"""How much one request costs, in verifications of a P-256 signature, before any signature of it is looked at.

Processor time of this thread, and of many times the shortest: what else the machine does is not in it. But a machine
that is busy slows down the interpreter by more than OpenSSL. So a verification is taken for what an ordinary challenge
is known to cost of one, wherever that is more.
"""

import asyncio
import logging
import math
import timeit
from collections.abc import Callable
from time import thread_time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dpop_asgi import AccessToken, Authenticator, DPoPMiddleware, InvalidToken, MemoryStore, Reason
from dpop_asgi.testing import ManualClock
from tests.fuzz.shapes import NOW, ORDINARY, SERVERS, Shape, scope_of
from tests.support.api import call, untouched

# More than this nobody without a token is to cost.
MOST_VERIFICATIONS = 2.0
# Of a challenge for a key that was never seen: a little less than `tests.benchmarks` measures.
_OF_ONE = 0.35
_AT_ONCE = 5
_FEWEST_ROUNDS = 3
# It fails only when it was dear each time.
_MOST_ROUNDS = 300

Run = Callable[[], object]


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

    def weigh(self, shape: Shape) -> float:
        """Verifications; all of the rounds are waited for only while it is more than allowed."""
        request = self._request(shape)
        cost = verification = challenge = math.inf
        for number in range(_MOST_ROUNDS):
            cost = min(cost, self._logged(request))
            verification = min(verification, _shortest(self._verify))
            challenge = min(challenge, _shortest(self._challenge))
            weight = cost / max(verification, challenge / _OF_ONE)
            if weight <= MOST_VERIFICATIONS and number >= _FEWEST_ROUNDS:
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
                app(scope, untouched, send).send(None)
            except StopIteration:
                if sent and sent[0]["status"] in {400, 401}:
                    return
            raise AssertionError(f"{shape}: {sent}")

        return run


class _Formatting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


def _shortest(run: Run) -> float:
    return min(timeit.repeat(run, timer=thread_time, repeat=_AT_ONCE, number=1))


def _protected(options: dict[str, Any]) -> Any:
    """A middleware that has its nonces, and wants one of every proof."""
    clock = ManualClock(NOW)
    authenticator = Authenticator(verify_token=_no_token, store=MemoryStore(clock=clock), clock=clock)
    app = DPoPMiddleware(_never, authenticator=authenticator, **options)

    async def prepared() -> None:
        """Until nothing needs an event loop any more: that is after the first request."""
        await authenticator.ready()
        await call(app, scope_of(ORDINARY))

    asyncio.run(prepared())
    return app


async def _no_token(_: str) -> AccessToken:
    raise InvalidToken(Reason.TOKEN_REJECTED)


async def _never(*_: object) -> None:
    raise AssertionError("a request has passed")
