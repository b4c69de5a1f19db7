"""A real issuer behind a network that can fail, and a verifier in process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.support.fault_proxy import FaultProxy

TIMEOUT = 0.3
# Nobody waits for longer than the time-out; the rest is for the work of fifty callers.
PROMISED = TIMEOUT + 1.0
# While all is well there is no hurry.
PATIENCE = 30.0


@dataclass
class Distant:
    """An issuer behind a proxy, a verifier that trusts it, and their clock."""

    issuer: Issuer
    proxy: FaultProxy
    verify: JWTVerifier
    clock: ManualClock
    client: Client

    def token(self, **changes: Any) -> str:
        return self.issuer.access_token(self.client, **changes)

    def new_key(self) -> str:
        return self.token(header={"kid": "never-seen"})

    def suffer(self, fault: Callable[[FaultProxy], object]) -> None:
        fault(self.proxy)
        self._source._timeout = TIMEOUT

    def heal(self) -> None:
        self.proxy.heal()
        self._source._timeout = PATIENCE

    @property
    def _source(self):
        [source] = self.verify._sources.values()
        return source

    @property
    def is_fetching(self):
        return self._source.fetching.under_way() is not None

    async def settled(self):
        """Wait for a fetch off the request's path."""
        if (fetch := self._source.fetching.under_way()) is not None:
            await asyncio.wait([fetch])

    async def is_unavailable(self, token: str) -> None:
        with pytest.raises(IssuerUnavailable, match=f"^the keys of {self.issuer.url} cannot be fetched: ."):
            await self.verify(token)
