"""The API that every peer protects, and who calls it."""

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer

VARIABLE = "PEER_API"
TARGET = "/resource"

# For servers that have no nonces: they look past it.
NO_NONCE = "a-nonce-that-nobody-asked-for"


@dataclass(frozen=True, kw_only=True)
class ProtectedAPI:
    """What a resource server has to be told, and the issuer's private key for who signs tokens; numbers are seconds."""

    issuer: str
    audience: str
    origin: str
    jwks: dict[str, Any]
    issuer_key: dict[str, Any]
    algorithms: tuple[str, ...] = ("ES256",)
    max_age: int = 60
    nonce_period: float = 60.0
    redis: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        return cls(**json.loads(os.environ[VARIABLE]))

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def environment(self) -> dict[str, str]:
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}


class Callers:
    """Clients with a token each, who take turns."""

    def __init__(self, api: ProtectedAPI, issuer: Issuer, count: int) -> None:
        self._api = api
        self._clients = [(client, issuer.access_token(client)) for client in (Client() for _ in range(count))]

    def requests(self, count: int, nonce: str | None) -> list[dict[str, Any]]:
        """Distinct requests, each with a proof of its own, as method, target and header fields."""
        uri = self._api.origin + TARGET
        made = []
        for number in range(count):
            client, token = self._clients[number % len(self._clients)]
            proof = client.proof("GET", uri, token, nonce=nonce or NO_NONCE)
            fields = [["authorization", f"DPoP {token}"], ["dpop", proof]]
            made.append({"method": "GET", "target": TARGET, "headers": fields})
        return made


def issuer_of(api: ProtectedAPI) -> Issuer:
    issuer = Issuer(api.issuer, audience=api.audience)
    issuer.kid = api.jwks["keys"][0]["kid"]
    issuer.keys = {issuer.kid: PrivateKey.from_jwk("ES256", api.issuer_key)}
    return issuer


def example(**settings: Any) -> ProtectedAPI:
    issuer = Issuer("https://id.example.com", audience="https://api.example.com")
    return ProtectedAPI(
        issuer=issuer.url,
        audience=issuer.audience,
        origin="http://localhost",  # another host has to be https
        jwks=issuer.jwks,
        issuer_key=issuer.keys[issuer.kid].private_jwk,
        **settings,
    )
