"""A client of one server that judges every answer it ever gets, whatever the test is about."""

from collections.abc import Iterable
from typing import Any, Self

from dpop_asgi.testing import Client, Issuer
from tests.conformance.judge import asks_for_nonce, judge
from tests.support.processes import ResourceServer
from tests.support.wire import Field, Response, Text, exchange, raw, request_bytes

# By each server lately: nonces are nobody's own, and a challenge for each client is a request more.
_told: dict[ResourceServer, str | None] = {}


class Peer:
    """One client key with one token at one server.

    Args:
        server: the example under uvicorn.
        issuer: of the token.
        http: uvicorn's HTTP implementation, where a test depends on it.
        nonces: whether the server demands them.
        origin: what clients call the server, if it is not what it listens on.
    """

    def __init__(
        self, server: ResourceServer, issuer: Issuer, *, http: str, nonces: bool, origin: str | None = None
    ) -> None:
        self.server = server
        self.issuer = issuer
        self.http = http
        self.nonces = nonces
        self.host = f"127.0.0.1:{server.port}"
        self.origin = origin or f"http://{self.host}"
        self.method = "GET"
        self.path = "/resource"
        self.client = Client()
        self.token = issuer.access_token(self.client)
        self.nonce: str | None = None

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"

    def proof(self, method: str | None = None, uri: str | None = None, **changes: Any) -> str:
        """A proof for this server with the nonce held, correct but for the changes (see `Client.proof`)."""
        token = changes.pop("token", self.token)
        return self.client.proof(method or self.method, uri or self.url, token, **{"nonce": self.nonce, **changes})

    def fields(self, method: str | None = None, uri: str | None = None, **changes: Any) -> list[Field]:
        """`Authorization` and `DPoP`, correct but for the changes."""
        token = changes.get("token", self.token)
        return [("Authorization", f"DPoP {token}"), ("DPoP", self.proof(method, uri, **changes))]

    def send(
        self,
        fields: Iterable[Field],
        *,
        method: str | None = None,
        target: Text | None = None,
        host: Text | None = None,
        body: bytes = b"",
    ) -> Response:
        """One request, one answer, which is judged."""
        given, method = list(fields), method or self.method
        where = self.path if target is None else target
        own = [("Host", self.host if host is None else host), ("Connection", "close")]
        if body:
            own.append(("Content-Length", str(len(body))))
        answer = exchange(self.server.port, request_bytes(method, where, [*own, *given], body), method=method)
        self.take(answer, [*(raw(value) for _, value in given), raw(where), raw(host or ""), body])
        return answer

    def take(self, answer: Response, sent: Iterable[bytes] = ()) -> None:
        """Judge an answer, and learn the nonce in it."""
        judge(answer, sent, nonces=self.nonces)
        self.learn(answer)

    def learn(self, answer: Response) -> None:
        """C-47: a nonce counts on success, or when it was asked for."""
        nonce = answer.one("DPoP-Nonce")
        if nonce is not None and (200 <= answer.status < 300 or asks_for_nonce(answer)):
            self.nonce = nonce

    def ready(self) -> Self:
        """After a good request: whatever is refused from here on is refused for what is wrong with it."""
        self.nonce = _told.get(self.server)
        answer = self.send(self.fields())
        if asks_for_nonce(answer):
            answer = self.send(self.fields())
        assert answer.status == 200, answer
        assert (self.nonce is not None) == self.nonces
        _told[self.server] = self.nonce
        return self
