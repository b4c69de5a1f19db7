"""The whole middleware over a store and an issuer on a socket, asked in process by callers who know who they are."""

import asyncio
from typing import Any

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, NoncePolicy
from dpop_asgi.core.ports import Store
from dpop_asgi.testing import Client, Issuer
from tests.support.api import PUBLIC_URL, Answer, call, http_scope
from tests.support.processes import NO_ROTATION, PATIENCE


class Caller:
    """One of many, each with a subject of its own."""

    def __init__(self, subject: str, client: Client, issuer: Issuer) -> None:
        self.subject = subject
        self._client = client
        self._token = issuer.access_token(client, claims={"sub": subject})

    def request(self, nonce: str | None = None) -> dict[str, Any]:
        fields = self._client.headers("GET", f"{PUBLIC_URL}/r", self._token, nonce=nonce)
        return http_scope(headers=[("host", "rs.example"), *fields.items()])


async def say_who(scope: Any, _: Any, send: Any) -> None:
    """Answers with the caller's subject, after others had their turn."""
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["user"].subject.encode()})


class Service:
    """A worker. It fetches the keys from the issuer's address, unless it is given them."""

    def __init__(self, issuer: Issuer, store: Store, *, jwks: dict[str, Any] | None = None) -> None:
        self._issuer, self._store, self._jwks = issuer, store, jwks
        self.restart()

    def restart(self) -> None:
        """Nonces and keys have to be fetched anew."""
        issuer, audience = self._issuer.url, self._issuer.audience
        verifier = JWTVerifier(issuer=issuer, audience=audience, jwks=self._jwks, timeout=PATIENCE)
        nonces = NoncePolicy(period=NO_ROTATION)
        self.authenticator = Authenticator(verify_token=verifier, store=self._store, nonces=nonces)
        self.app = DPoPMiddleware(say_who, authenticator=self.authenticator, public_url=PUBLIC_URL)

    async def ask(self, scope: dict[str, Any]) -> Answer:
        return await call(self.app, dict(scope))

    async def learn_nonce(self, caller: Caller) -> str:
        """From the challenge to a request without one."""
        challenge = await self.ask(caller.request())
        assert challenge.status == 401
        return challenge.one("dpop-nonce")
