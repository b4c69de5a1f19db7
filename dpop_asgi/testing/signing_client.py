"""Clients of an API under test that sign their requests: Starlette's `TestClient`, and httpx2's async one."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx2
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession

from dpop_asgi.asgi.interface import ASGIApp
from dpop_asgi.client.auth import DPoPAuth
from dpop_asgi.client.key import Key
from dpop_asgi.core.ports import Clock
from dpop_asgi.testing.client import NOTHING, AnyHostAuth, Client
from dpop_asgi.testing.issuer import Issuer


class SignedIn:
    """A client with a key and a token.

    Args:
        client: has the key.
        issuer: issues its tokens.
        clock: of its proofs.
        scopes: see `sign_in`.
        claims: see `sign_in`.

    Attributes:
        client: see above.
        issuer: see above.
        token: the access token that requests are sent with. It may be replaced.
        auth: signs requests.
    """

    def __init__(
        self, client: Client, issuer: Issuer, clock: Clock, *, scopes: str = "", claims: Mapping[str, Any] = NOTHING
    ) -> None:
        self.client: Client = client
        self.issuer: Issuer = issuer
        self.token: str = self.sign_in(scopes, claims=claims)
        key = Key(client.key.public_jwk, client.key.sign, alg=client.key.algorithm)
        self.auth: DPoPAuth = AnyHostAuth(lambda: self.token, key=key, clock=clock)

    def sign_in(self, scopes: str = "", *, claims: Mapping[str, Any] = NOTHING) -> str:
        """Get a new access token, for the same key, and use it from now on.

        Args:
            scopes: scope values, separated by spaces.
            claims: claims to add or replace.
        """
        self.token = self.issuer.access_token(self.client, claims={"scope": scopes, **claims})
        return self.token


class SigningClient(TestClient):
    """Starlette's `TestClient`; each request, and each handshake of a WebSocket, has a token and a proof.

    Nonce challenges are followed, as a client in production does.

    Args:
        app: the ASGI app.
        signed_in: has the key and the token.
        base_url: the URL that clients call.
        options: those of `TestClient`.

    Attributes:
        client: see `SignedIn`.
    """

    def __init__(self, app: ASGIApp, signed_in: SignedIn, *, base_url: str, **options: Any) -> None:  # noqa: ANN401 - theirs
        super().__init__(app, base_url=base_url, **options)
        self._signed_in = signed_in
        self.auth = signed_in.auth
        self.client: Client = signed_in.client

    @property
    def token(self) -> str:
        """The access token that requests are sent with."""
        return self._signed_in.token

    def sign_in(self, scopes: str = "", *, claims: Mapping[str, Any] = NOTHING) -> str:
        """See `SignedIn.sign_in`."""
        return self._signed_in.sign_in(scopes, claims=claims)

    def websocket_connect(
        self,
        url: str,
        subprotocols: Sequence[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - theirs
    ) -> WebSocketTestSession:
        """As in `TestClient`, but relative to `base_url`.

        Raises:
            WebSocketDenialResponse: If the handshake is rejected, on entering the session.
        """
        address = url if "://" in url else f"ws{str(self.base_url).rstrip('/')[4:]}/{url.lstrip('/')}"
        session = super().websocket_connect(address, subprotocols, **kwargs)
        return session if kwargs.get("auth", self) is None else _SignedSession(session, address, self._signed_in)


class _SignedSession(WebSocketTestSession):
    """A session that is opened again after a nonce challenge."""

    def __init__(self, session: WebSocketTestSession, address: str, signed_in: SignedIn) -> None:
        super().__init__(session.app, session.scope, session.portal_factory)
        self._address = address.partition("?")[0]
        self._signed_in = signed_in

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except WebSocketDenialResponse as denied:
            nonce = denied.headers.get("DPoP-Nonce")
            if nonce is None or 'error="use_dpop_nonce"' not in denied.headers.get("WWW-Authenticate", ""):
                raise
        headers = self._signed_in.client.headers("GET", self._address, self._signed_in.token, nonce=nonce)
        signed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        others = [header for header in self.scope["headers"] if header[0] not in {b"authorization", b"dpop"}]
        self.scope = {**self.scope, "headers": [*others, *signed]}
        return super().__enter__()


class AsyncSigningClient(httpx2.AsyncClient):
    """The same for tests that are async: `httpx2.AsyncClient` by its ASGI transport. It runs no lifespan.

    Args:
        app: the ASGI app.
        signed_in: has the key and the token.
        base_url: the URL that clients call.
        options: those of `httpx2.AsyncClient`.

    Attributes:
        client: see `SignedIn`.
    """

    def __init__(self, app: ASGIApp, signed_in: SignedIn, *, base_url: str, **options: Any) -> None:  # noqa: ANN401 - theirs
        transport = httpx2.ASGITransport(app)
        super().__init__(transport=transport, base_url=base_url, auth=signed_in.auth, **options)
        self._signed_in = signed_in
        self.client: Client = signed_in.client

    @property
    def token(self) -> str:
        """The access token that requests are sent with."""
        return self._signed_in.token

    def sign_in(self, scopes: str = "", *, claims: Mapping[str, Any] = NOTHING) -> str:
        """See `SignedIn.sign_in`."""
        return self._signed_in.sign_in(scopes, claims=claims)
