"""Configuration problems to report to the operator: looked for in the background, at startup and every five minutes."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from functools import partial

from dpop_asgi.core.ports import Clock, Inspectable, Readiness
from dpop_asgi.errors import DPoPError
from dpop_asgi.log import logger
from dpop_asgi.single_flight import SingleFlight

# As long as used proofs are remembered by default: a setting that would lose them is found before most are lost. A look
# costs each Redis server one INFO.
_EVERY_SECONDS = 300.0

# Custom code may hang; the built-in parts have shorter deadlines of their own.
_LONGEST_LOOK_SECONDS = 30.0

# A clock that drifts is news at 5 s and at 10 s, but not with each second.
_SECONDS = re.compile(r"\d+(?= s\b)")

_STORE_FAILED = "the store could not be looked at: {}"
_VERIFIER_FAILED = (
    "not all tokens can be verified: {}. Requests with the others get a 503. Compare issuer (or jwks_uri) with what the"
    " issuer publishes, and see whether this host can reach it; `dpop-asgi check` looks closer"
)


class SelfCheck:
    """Looks for problems of the store and of the issuer, as far as they can tell.

    The start of the server, requests and readiness probes start it; none of them waits for it. Nothing of it is left
    between two looks, so there is nothing to stop in an app that is told of no shutdown.

    Args:
        store: of the process; looked at if it is `Inspectable`.
        verify_token: verifies its tokens; looked at if it has `Readiness`. `None` where there are no tokens.
        clock: seconds since the epoch, the clock that judges proofs.
    """

    def __init__(self, store: object, verify_token: object = None, *, clock: Clock) -> None:
        self._parts: list[_Part] = []
        if isinstance(store, Inspectable):
            self._parts.append(_Part(partial(store.findings, clock), _STORE_FAILED))
        if isinstance(verify_token, Readiness):
            self._parts.append(_Part(partial(_readiness, verify_token), _VERIFIER_FAILED))
        self._clock = clock
        self._looked_at = self._due_at = -math.inf
        self._looking = SingleFlight(self._log)

    def start(self) -> None:
        """Look in the background if it is time, and log as warnings what wasn't found the last time."""
        # Hot path: called for each request. It is also time if the clock was set back.
        if self._looked_at <= (now := self._clock()) < self._due_at:
            return
        self._looked_at, self._due_at = now, now + _EVERY_SECONDS
        if self._parts:
            self._looking.start()

    async def findings(self) -> list[str]:
        """The problems, a sentence each; empty if there are none."""
        found = await asyncio.gather(*(part.look() for part in self._parts))
        return [finding for findings, _ in found for finding in findings]

    async def aclose(self) -> None:
        """End the look that is under way. The next request starts another."""
        self._looked_at = self._due_at = -math.inf
        await self._looking.aclose()

    async def _log(self) -> None:
        await asyncio.gather(*(part.log() for part in self._parts))


class _Part:
    """One thing to look at, and what was found there before.

    Args:
        findings: looks at it.
        failed: what is found if that fails, with the error in its braces.
    """

    def __init__(self, findings: Callable[[], Awaitable[list[str]]], failed: str) -> None:
        self._findings = findings
        self._failed = failed
        self._known: frozenset[str] = frozenset()

    async def look(self) -> tuple[list[str], bool]:
        """What is wrong with it, and whether that is all."""
        try:
            async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
                return await self._findings(), True
        except DPoPError as error:
            return [self._failed.format(error)], False
        except Exception as error:  # noqa: BLE001 - of custom code. Only its type: the message may have a secret in it.
            return [self._failed.format(type(error).__name__)], False

    async def log(self) -> None:
        """Log what wasn't found the last time. In an outage, nothing that was found before is taken for repaired."""
        found, is_all = await self.look()
        forms = {_SECONDS.sub(lambda seconds: "#" * len(seconds[0]), finding): finding for finding in found}
        for finding in [finding for form, finding in forms.items() if form not in self._known]:
            logger.warning("self-check: %s", finding)
        self._known = frozenset(forms) if is_all else self._known.union(forms)


async def _readiness(verify_token: Readiness) -> list[str]:
    await verify_token.ready()
    return []
