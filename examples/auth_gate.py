"""Responds to nginx's `auth_request` subrequests, for an app of any kind.

    DPOP_ISSUER=https://id.example.com DPOP_AUDIENCE=https://api.example.com DPOP_PUBLIC_URL=https://api.example.com \
        uvicorn examples.auth_gate:app --port 8001 --no-proxy-headers

docs/deployment.md has the configuration of nginx. Only nginx may reach this: it says which request is meant.
Without `--no-proxy-headers`, uvicorn takes who is connected from a header that clients can send.
"""

from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dpop_asgi import DPoPMiddleware, caller_from
from dpop_asgi.settings import Settings

# Where nginx is. `None` stands for a Unix socket.
TRUSTED = {"127.0.0.1", "::1", None}

settings = Settings.from_environment()


class OriginalRequest:
    """Shows the app the request that nginx asks about, instead of the one by which it asks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = [self._told(scope, name) for name in (b"x-original-method", b"x-original-uri")]
        peer = (scope.get("client") or [None])[0]
        if peer not in TRUSTED or not all(told):
            await PlainTextResponse("this is for nginx only", 403)(scope, receive, send)
            return
        method, uri = told
        raw_path = uri.partition(b"?")[0]
        original = {"method": method.decode("latin-1"), "raw_path": raw_path, "path": unquote(raw_path)}
        await self.app({**scope, **original}, receive, send)

    @staticmethod
    def _told(scope: Scope, name: bytes) -> bytes:
        """The value of a header that was sent exactly once."""
        values = [value for known, value in scope["headers"] if known == name]
        return values[0] if len(values) == 1 else b""


async def granted(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns the caller to nginx."""
    caller = caller_from(Request(scope))
    await Response(status_code=204, headers={"X-Caller": caller.subject or ""})(scope, receive, send)


app = OriginalRequest(
    DPoPMiddleware(
        granted,
        authenticator=settings.authenticator,
        public_url=settings.public_url,
        insecure_http_hosts=settings.insecure_http_hosts,
    ),
)
