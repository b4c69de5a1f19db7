"""pydpop's middleware; it leaves the access token and its binding to the app inside, here with PyJWT."""

from typing import Any

from pydpop import MemoryJtiStore
from pydpop.integrations.starlette import DPoPMiddleware

from tests.benchmarks.peers.by_hand import Refused, credentials
from tests.benchmarks.peers.libraries import WithPyJWT
from tests.benchmarks.subjects import App, Receive, Scope, Send

# It takes one fixed nonce.
_NONCE = "a-fixed-nonce-of-the-server"


class _OfConstantSize(MemoryJtiStore):
    """Its cost grows with what it holds, so that is kept as it is."""

    def __init__(self, remembered: int) -> None:
        super().__init__()
        for number in range(remembered):
            super().add(str(number))

    def add(self, jti: str) -> None:
        super().add(jti)
        del self._seen[next(iter(self._seen))]


def _token_check(app: App, jwks: dict[str, Any]) -> App:
    """What its documentation leaves to the user."""
    library = WithPyJWT(jwks)

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        token, _ = credentials(scope["headers"])
        claims = library.token(token)
        if claims["cnf"].get("jkt") != scope["dpop"]["jwk_thumbprint"]:
            raise Refused("invalid_token")
        scope["caller"] = {"sub": claims["sub"], "jkt": claims["cnf"]["jkt"]}
        await app(scope, receive, send)

    return check


def with_pydpop(app: App, jwks: dict[str, Any], *, remembered: int) -> App:
    store, nonces = _OfConstantSize(remembered), {"expected_nonce": _NONCE, "challenge_nonce": _NONCE}
    return DPoPMiddleware(_token_check(app, jwks), jti_store=store, **nonces)
