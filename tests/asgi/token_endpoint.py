"""A token endpoint in process, and its client."""

import json
from typing import Any

from dpop_asgi import MemoryStore, ProofVerifier, TokenEndpointDPoP, dpop_from
from dpop_asgi.testing import Client, ManualClock
from tests.support.api import Answer, App, Fields, call, http_scope

AS_URL = "https://as.example"
PATH = "/token"
_NEWEST = object()


class Keys(App):
    """An endpoint that keeps the thumbprint of each request."""

    @property
    def seen(self) -> list[str | None]:
        return [dpop_from(_Connection(scope)) for scope in self.scopes]


class _Connection:
    def __init__(self, scope: Any) -> None:
        self.scope = scope


class TokenServer:
    """`inner` behind `TokenEndpointDPoP`. `options` are the middleware's or the verifier's.

    It is a client, too, as the tables of hostile proofs need one: `proof()` is correct but for the changes.
    """

    def __init__(self, clock: ManualClock, client: Client, inner: Any = None, **options: Any) -> None:
        decision = {name: options.pop(name) for name in _DECISION if name in options}
        self.verifier = ProofVerifier(**{"store": MemoryStore(clock=clock), "clock": clock, **decision})
        self.client = client
        self.inner = inner or Keys()
        self.app = TokenEndpointDPoP(self.inner, verifier=self.verifier, **{"public_url": AS_URL, **options})
        self.nonce: str | None = None

    def proof(self, method: str = "POST", path: str = PATH, **changes: Any) -> str:
        uri, client = changes.pop("uri", AS_URL + path), changes.pop("client", self.client)
        return client.proof(method, uri, **{"nonce": self.nonce, **changes})

    async def learn(self) -> None:
        self.nonce = await self.verifier.challenge_nonce()

    async def send(
        self, *proofs: str, method: str = "POST", path: str = PATH, also: Fields = (), **scope: Any
    ) -> Answer:
        """A request with these proofs, as they are."""
        headers = [("host", "as.example"), *(("dpop", proof) for proof in proofs), *also]
        return await call(self.app, http_scope(method, path, headers, **scope))

    async def request(self, method: str = "POST", path: str = PATH, *, nonce: Any = _NEWEST, **changes: Any) -> Answer:
        """A correct request with the newest nonce, but for the changes."""
        given = await self.verifier.challenge_nonce() if nonce is _NEWEST else nonce
        return await self.send(self.proof(method, path, nonce=given, **changes), method=method, path=path)


_DECISION = ("store", "proof_policy", "nonces", "namespace", "observer", "clock")


def error_of(answer: Answer, *, nonces: bool = True) -> str:
    """The error of a response that RFC 6749 §5.2 and RFC 9449 §8 allow."""
    assert answer.status == 400
    assert answer.one("content-type") == "application/json"
    assert answer.one("cache-control") == "no-store"
    assert answer.all("www-authenticate") == []
    assert len(answer.all("dpop-nonce")) == (1 if nonces else 0)
    content = json.loads(answer.body)
    assert set(content) == {"error", "error_description"}
    return str(content["error"])
