"""An API under test, as it is configured for production, but without network and Redis."""

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from dpop_asgi.asgi.interface import ASGIApp, Receive, Scope, Send
from dpop_asgi.asgi.request_path import path_of
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.ports import Clock, TokenVerifier
from dpop_asgi.errors import InvalidRequest, Reason
from dpop_asgi.stores.memory import MemoryStore
from dpop_asgi.testing.client import NOTHING, Client
from dpop_asgi.testing.clock import ManualClock
from dpop_asgi.testing.issuer import Issuer
from dpop_asgi.testing.middlewares import authenticators_of, base_url_of
from dpop_asgi.testing.signing_client import AsyncSigningClient, SignedIn, SigningClient
from dpop_asgi.testing.without_proofs import WithoutProofs
from dpop_asgi.tokens.jwt import JWTVerifier

# The host that `TestClient` calls unless it is passed another URL.
_TEST_SERVER = "testserver"

# What an authenticator calls that tests don't replace: observer and checks.
_KEPT = frozenset({"_tell", "_observer", "_own"})


class OfflineAPI:
    """An app in whose `Authenticator` the issuer, the store and the clock are those of a test, until it is closed.

    Where the host of a request decides, `http://testserver` is served as well, which `TestClient` calls by default.
    All else stays as it is: limits, nonces, mode, `also_check`, `allow_bearer`, the observer. Use it in a `with` block,
    or call `close`.

    Args:
        app: the app, with its `DPoPMiddleware` around it, in it, or in what is mounted in it.
        issuer: whose tokens are accepted.
        clock: moved by hand.
        verify_token: verifies tokens, instead of a `JWTVerifier` for `issuer`.
        base_url: the URL that clients call, instead of the middleware's `public_url`.

    Attributes:
        app: as clients call it: a path prefix of the URL is removed, as the proxy in front of it does.
        issuer: see above.
        clock: see above.
        base_url: see above.

    Raises:
        ValueError: If there is no `DPoPMiddleware`, or `base_url` can't be found out.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        issuer: Issuer | None = None,
        clock: ManualClock | None = None,
        verify_token: TokenVerifier | None = None,
        base_url: str | None = None,
    ) -> None:
        authenticators = authenticators_of(app)
        self.base_url: str = base_url or base_url_of(app)
        self.app: ASGIApp = _behind_proxy(app, urlsplit(self.base_url).path)
        self.clock: ManualClock = clock or ManualClock()
        self.issuer: Issuer = issuer or Issuer(
            "https://id.example.com", audience="https://api.example.com", clock=self.clock
        )
        verify = verify_token or JWTVerifier(
            issuer=self.issuer.url, audience=self.issuer.audience, jwks=self.issuer.jwks, clock=self.clock
        )
        self._before = [(authenticator, dict(vars(authenticator))) for authenticator in authenticators]
        for authenticator in authenticators:
            _replace(authenticator, _offline(authenticator, verify, self.clock))

    def close(self) -> None:
        """Give the app back what it was configured with."""
        for authenticator, options in self._before:
            _replace(authenticator, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def client(
        self,
        scopes: str = "",
        *,
        claims: Mapping[str, Any] = NOTHING,
        key: Client | None = None,
        **options: Any,  # noqa: ANN401 - theirs
    ) -> SigningClient:
        """A `TestClient` that signs its requests.

        Args:
            scopes: of its token, separated by spaces.
            claims: of its token, to add or replace.
            key: a client whose key it has, instead of a new one.
            options: those of `TestClient`.
        """
        return SigningClient(self.app, self._signed_in(scopes, claims, key), base_url=self.base_url, **options)

    def async_client(
        self,
        scopes: str = "",
        *,
        claims: Mapping[str, Any] = NOTHING,
        key: Client | None = None,
        **options: Any,  # noqa: ANN401 - theirs
    ) -> AsyncSigningClient:
        """The same as an `httpx2.AsyncClient`; `options` are those of it."""
        return AsyncSigningClient(self.app, self._signed_in(scopes, claims, key), base_url=self.base_url, **options)

    def without_proofs(self, caller: Caller, *, outside_pytest: bool = False, **options: Any) -> TestClient:  # noqa: ANN401 - theirs
        """A `TestClient` whose requests come from `caller`, without proof and token: see `WithoutProofs`.

        Raises:
            RuntimeError: If pytest doesn't run with the plugin, unless `outside_pytest`.
        """
        app = WithoutProofs(self.app, caller, outside_pytest=outside_pytest)
        return TestClient(app, base_url=self.base_url, **options)

    def _signed_in(self, scopes: str, claims: Mapping[str, Any], key: Client | None) -> SignedIn:
        return SignedIn(key or Client(clock=self.clock), self.issuer, self.clock, scopes=scopes, claims=claims)


def _offline(authenticator: Authenticator, verify_token: TokenVerifier, clock: Clock) -> dict[str, Any]:
    """What an authenticator with the same options has, but for these, and for a store in memory."""
    twin = Authenticator(
        verify_token=verify_token,
        store=MemoryStore(clock=clock),
        proof_policy=authenticator.proof_policy,
        nonces=authenticator.nonce_policy,
        mode=authenticator.mode,
        namespace=authenticator.namespace,
        on_store_failure=authenticator.on_store_failure,
        clock=clock,
    )
    # And what a subclass has besides.
    kept = {name: value for name, value in vars(authenticator).items() if name in _KEPT or name not in vars(twin)}
    return {**vars(twin), **kept, "authenticate": partial(_authenticate, authenticator)}


async def _authenticate(
    authenticator: Authenticator, request: IncomingRequest, needed: Requirement | None = None
) -> Caller:
    """As `Authenticator.authenticate`, but where the host decides, `http://testserver` is served as well."""
    if isinstance(request.target_uri, partial):
        request.target_uri = partial(_or_test_server, request.target_uri)
    return await type(authenticator).authenticate(authenticator, request, needed)


def _or_test_server(target_uri: partial[str]) -> str:
    try:
        return target_uri()
    except InvalidRequest as rejection:
        if rejection.reason is not Reason.HOST_NOT_ALLOWED or rejection.facts["host"] != _TEST_SERVER:
            raise
        (scope,) = target_uri.args
        return f"http://{_TEST_SERVER}{path_of(scope)}"


def _replace(authenticator: Authenticator, options: Mapping[str, Any]) -> None:
    """In place: the middleware, routes and health checks of the app hold on to it."""
    vars(authenticator).clear()
    vars(authenticator).update(options)


class _BehindProxy:
    """Removes a path prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            size = len(self._prefix)
            scope = {**scope, "path": scope["path"][size:] or "/", "raw_path": scope["raw_path"][size:] or b"/"}
        await self.app(scope, receive, send)


def _behind_proxy(app: ASGIApp, prefix: str) -> ASGIApp:
    prefix = prefix.rstrip("/")
    return _BehindProxy(app, prefix) if prefix else app
