"""The decision of the library under test, in process and on a store that never forgets a nonce."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from dpop_asgi import AccessToken, Authenticator, Caller, IncomingRequest, InvalidToken, NoncePolicy, Reason, Refusal
from dpop_asgi.core.proof import ProofReader
from dpop_asgi.testing import ManualClock
from tests.differential.drafts import NOW, URI, nonce_of
from tests.differential.verifier import Request


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for: no event loop is needed, and a turn of one is dear."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("it waited")


class SeededStore:
    """Has the nonce of every slot from the start, so that inputs which were kept find the same ones."""

    def __init__(self) -> None:
        self.spent: dict[str, str] = {}

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        kind, slot = key.split(":")[1], key.rpartition(":")[2]
        return nonce_of(int(slot)) if kind == "nonce" else self.spent.setdefault(key, value)

    async def aclose(self) -> None:
        """Nothing was opened."""


class Library:
    """Says why a request is refused."""

    def __init__(self, *, nonces: bool) -> None:
        self.store = SeededStore()
        self._clock = ManualClock(NOW)
        self._bindings: dict[str, str] = {}
        self._authenticator = Authenticator(
            verify_token=self._verify_token,
            store=self.store,
            nonces=NoncePolicy() if nonces else None,
            clock=self._clock,
        )
        asyncio.run(self._settle())

    async def _settle(self) -> None:
        """Do once, in an event loop, what the first request starts; later ones have nothing to wait for."""
        with suppress(Refusal):
            await self._authenticator.authenticate(IncomingRequest(method="GET", target_uri=URI, headers=[]))
        await self._authenticator.challenge_nonce()

    async def _verify_token(self, token: str) -> AccessToken:
        if token not in self._bindings:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return AccessToken(key_thumbprint=self._bindings[token])

    def reason(self, proofs: list[bytes], request: Request) -> Reason | None:
        """Why these proofs are refused by a server that has seen none before; `None` when it accepts."""
        self.store.spent.clear()
        self._authenticator._reader = ProofReader(self._authenticator.proof_policy)
        return self.next_reason(proofs, request)

    def next_reason(self, proofs: list[bytes], request: Request) -> Reason | None:
        """The same by a server that remembers what it was asked before."""
        try:
            self.caller(proofs, request)
        except Refusal as refusal:
            return refusal.reason
        return None

    def caller(self, proofs: list[bytes], request: Request) -> Caller:
        self._clock.now = request.now
        self._bindings = {request.token: request.jkt}
        fields = [(b"dpop", proof) for proof in proofs]
        return drive(
            self._authenticator.authenticate(
                IncomingRequest(
                    method=request.method,
                    target_uri=request.uri,
                    headers=[(b"authorization", b"DPoP " + request.token.encode("ascii")), *fields],
                    websocket=request.websocket,
                )
            )
        )
