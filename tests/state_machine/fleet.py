"""Several workers with clocks of their own and one store, and what clients and thieves send them."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi import Authenticator, Decision, DPoPMiddleware, JWTVerifier, NoncePolicy, ProofPolicy
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.state_machine.flaky_store import View
from tests.support.api import PUBLIC_URL, Answer, App, call, http_scope

# The key in a scope under which the app finds who is calling.
_CALLER = "user"


@dataclass(frozen=True, eq=False)
class Token:
    """An access token, and what is true of it."""

    text: str = field(repr=False)
    bound_to: Client | None = field(repr=False)
    expires_at: float
    genuine: bool


@dataclass(frozen=True, eq=False)
class Proof:
    """A proof, and what is true of it: what it says, whose key it shows, and whether that key signed it."""

    text: str = field(repr=False)
    client: Client = field(repr=False)
    signed: bool
    method: str
    path: str
    token: Token
    issued_at: int
    jti: str
    nonce: str | None


@dataclass(frozen=True, eq=False)
class Attempt:
    """A request that can be sent again unchanged, to any worker."""

    method: str
    path: str
    scheme: str
    token: Token
    proof: Proof | None = None

    @property
    def scope(self) -> dict[str, Any]:
        fields = [("host", "rs.example"), ("authorization", f"{self.scheme} {self.token.text}")]
        if self.proof is not None:
            fields.append(("dpop", self.proof.text))
        return http_scope(self.method, self.path, fields)


@dataclass(frozen=True)
class Rules:
    """What all workers of a fleet are configured with."""

    nonces: NoncePolicy | None
    policy: ProofPolicy
    mode: Any = "required"
    on_store_failure: Any = "refuse"


class Worker:
    """A process: an authenticator and the middleware, a clock that is off by `skew`, its own view of the store."""

    def __init__(self, rules: Rules, clock: ManualClock, issuer: Issuer, store: Any, *, skew: float) -> None:
        self._rules, self._clock, self._issuer = rules, clock, issuer
        self.skew = skew
        self.view = View(store)
        self.restart()

    def restart(self) -> None:
        """Nothing that was in memory is left."""
        rules, issuer = self._rules, self._issuer
        self.view.forget()
        self.decisions: list[Decision] = []
        self.app = App()
        verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=self.clock)
        authenticator = Authenticator(
            verify_token=verifier,
            store=self.view,
            proof_policy=rules.policy,
            nonces=rules.nonces,
            mode=rules.mode,
            on_store_failure=rules.on_store_failure,
            observer=self.decisions.append,
            clock=self.clock,
        )
        self.middleware = DPoPMiddleware(self.app, authenticator=authenticator, public_url=PUBLIC_URL)

    def clock(self) -> float:
        return self._clock() + self.skew

    async def ask(self, attempt: Attempt) -> tuple[Answer, Decision]:
        """The answer and the decision behind it."""
        self.app.scopes.clear()
        answer = await call(self.middleware, attempt.scope)
        return answer, self.decisions.pop()

    @property
    def caller(self) -> Any:
        """Who was calling, as the app saw it in the last request."""
        return self.app.scopes[-1][_CALLER]


async def quiet() -> None:
    """Let what was begun beside the requests come to its end."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


def sign(
    client: Client,
    token: Token,
    *,
    issued_at: int,
    nonce: str | None,
    signed_by: PrivateKey | None = None,
    **changes: Any,
) -> Proof:
    """A proof; `changes` are `method`, `path` and `jti`."""
    said = {"method": "GET", "path": "/r", "jti": secrets.token_urlsafe(8), **changes}
    text = client.proof(
        said["method"],
        PUBLIC_URL + said["path"],
        token.text,
        nonce=nonce,
        claims={"jti": said["jti"], "iat": issued_at},
        signed_by=signed_by,
    )
    signed = signed_by is None or signed_by is client.key
    return Proof(text, client, signed, token=token, issued_at=issued_at, nonce=nonce, **said)


def under_dpop(proof: Proof) -> Attempt:
    """The request that the proof was made for."""
    return Attempt(proof.method, proof.path, "DPoP", proof.token, proof)
