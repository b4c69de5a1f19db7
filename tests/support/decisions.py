"""The decision in process: one protected resource, one client, a store that counts and can be taken away."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from dpop_asgi import (
    AccessToken,
    Authenticator,
    Caller,
    IncomingRequest,
    InvalidToken,
    MemoryStore,
    Reason,
    Refusal,
    StoreUnavailable,
)
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.testing import Client, ManualClock
from tests.support.proofs import TOKEN, URI


@dataclass(frozen=True)
class Call:
    """What the store was asked."""

    key: str
    value: str
    ttl: float


class CountingStore(MemoryStore):
    """A MemoryStore that remembers its calls. While `down`, it fails."""

    def __init__(self, clock: ManualClock, *, down: bool = False) -> None:
        super().__init__(clock=clock)
        self.down = down
        self.calls: list[Call] = []

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        self.calls.append(Call(key, value, ttl))
        if self.down:
            raise StoreUnavailable("the store is down")
        return await super().put_if_absent(key, value, ttl=ttl)

    def forget(self) -> None:
        """Lose everything, as a server does that restarts without a disk."""
        self._values.clear()
        self._keys_by_end.clear()
        self._ends.clear()

    @property
    def proofs(self) -> list[Call]:
        """The calls that spent a proof."""
        return [call for call in self.calls if ":jti:" in call.key]


async def settle() -> None:
    """Let what runs beside the requests come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


def incoming(headers: Mapping[str, str] | list[tuple[str, str]], **changes: Any) -> IncomingRequest:
    """`GET` of the resource with these fields, named in lower case as ASGI servers hand them over."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return IncomingRequest(**{"method": "GET", "target_uri": URI, "headers": fields, **changes})


class Resource:
    """A resource server with a verifier of opaque tokens. Nonces are off unless asked for.

    `tokens` can be changed: what is missing there is a revoked token. `verified` counts the verifier's calls.
    """

    def __init__(self, clock: ManualClock, client: Client, **options: Any) -> None:
        self.clock = clock
        self.client = client
        self.verified = 0
        self.tokens = {TOKEN: AccessToken(subject="alice", key_thumbprint=client.thumbprint)}
        self.store = options.pop("store", None) or CountingStore(clock)
        self.authenticator = Authenticator(
            **{"verify_token": self.verify, "store": self.store, "nonces": None, "clock": clock, **options}
        )

    async def verify(self, token: str) -> AccessToken:
        self.verified += 1
        if token not in self.tokens:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return self.tokens[token]

    def headers(self, token: str = TOKEN, *, method: str = "GET", uri: str = URI, **changes: Any) -> dict[str, str]:
        """The fields of a correct request, but for what is asked otherwise."""
        return self.client.headers(method, uri, token, **changes)

    async def accept(self, headers: Any = None, **changes: Any) -> Caller:
        return await self.authenticator.authenticate(incoming(headers or self.headers(), **changes))

    async def refusal(self, headers: Any = None, **changes: Any) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.authenticator.authenticate(incoming(self.headers() if headers is None else headers, **changes))
        return refused.value

    async def reason(self, headers: Any = None, **changes: Any) -> Reason:
        return (await self.refusal(headers, **changes)).reason


async def accepted_nonce(window: NonceWindow, nonce: object, now: float) -> AcceptedNonce:
    """What `window` says of `nonce`, once it is ready."""
    if not window.is_complete(now):
        await window.ensure(now)
    return window.accept(nonce, now)
