"""A resource server as a careful developer writes it by hand, around whichever JOSE library."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Any, Protocol
from urllib.parse import urlsplit

import redis.asyncio

from tests.benchmarks.peers.api import ProtectedAPI

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
PROOF_CLAIMS = ["jti", "htm", "htu", "iat", "ath"]
TOKEN_CLAIMS = ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "cnf"]
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SECRET = b"all workers know it"


class Refused(Exception):
    """The error code for the client."""


class Library(Protocol):
    def proof(self, value: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The `jwk` and the claims of a proof whose header and signature hold."""
        ...

    def token(self, value: str) -> dict[str, Any]:
        """The claims of an access token that is good."""
        ...


class Spent(Protocol):
    async def first_use(self, key: str, seconds: int) -> bool: ...


class SpentInMemory:
    """All live equally long, so the oldest is always the first to go."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    async def first_use(self, key: str, seconds: int) -> bool:
        now = time.time()
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
        if key in self._until:
            return False
        self._until[key] = now + seconds
        return True


class SpentInRedis:
    """One command per request, as redis-py sends it."""

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.from_url(url)

    async def first_use(self, key: str, seconds: int) -> bool:
        return bool(await self._redis.set(f"spent:{key}", "1", nx=True, ex=seconds))


class ResourceServer:
    """ASGI middleware: the leanest form there is."""

    def __init__(self, app: Any, api: ProtectedAPI, library: Library) -> None:
        self._app = app
        self._api = api
        self._library = library
        self._spent = SpentInRedis(api.redis) if api.redis else SpentInMemory()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            scope["caller"] = await self._authenticate(scope)
        except Refused as refused:
            await challenge(send, str(refused), self._nonce(0))
        else:
            await self._app(scope, receive, send)

    async def _authenticate(self, scope: Any) -> dict[str, Any]:
        token, proof = credentials(scope["headers"])
        jwk, claims = self._library.proof(proof)
        path = scope["raw_path"].decode("ascii").partition("?")[0]
        self._check(claims, scope["method"], self._api.origin + path, token)
        token_claims = self._library.token(token)
        key = thumbprint(jwk)
        if not hmac.compare_digest(str(token_claims["cnf"].get("jkt")), key):
            raise Refused("invalid_token")
        spent = hashlib.sha256(f"{key} {claims['jti']}".encode()).hexdigest()
        if not await self._spent.first_use(spent, 2 * self._api.max_age + 1):
            raise Refused("invalid_dpop_proof")
        return {"sub": token_claims["sub"], "jkt": key}

    def _check(self, claims: dict[str, Any], method: str, uri: str, token: str) -> None:
        same_request = claims["htm"] == method and same_uri(claims["htu"], uri)
        recent = type(claims["iat"]) is int and abs(time.time() - claims["iat"]) <= self._api.max_age
        ath = b64url(hashlib.sha256(token.encode()).digest())
        if not (same_request and recent and isinstance(claims["jti"], str) and claims["jti"]):
            raise Refused("invalid_dpop_proof")
        if not hmac.compare_digest(str(claims["ath"]).encode(), ath.encode()):
            raise Refused("invalid_dpop_proof")
        nonce = str(claims.get("nonce")).encode()
        if not any(hmac.compare_digest(nonce, self._nonce(back).encode()) for back in (0, 1)):
            raise Refused("use_dpop_nonce")

    def _nonce(self, slots_back: int) -> str:
        slot = int(time.time() / self._api.nonce_period) - slots_back
        return hmac.new(_SECRET, str(slot).encode(), "sha256").hexdigest()


def credentials(headers: list[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Exactly one access token, and exactly one proof."""
    authorizations = [value for name, value in headers if name == b"authorization"]
    proofs = [value for name, value in headers if name == b"dpop"]
    if len(authorizations) != 1:
        raise Refused("invalid_request")
    scheme, _, token = authorizations[0].decode("latin-1").partition(" ")
    if scheme.lower() != "dpop" or not token or len(proofs) != 1:
        raise Refused("invalid_dpop_proof")
    return token, proofs[0].decode("latin-1")


def check_header(header: dict[str, Any], algorithms: tuple[str, ...]) -> dict[str, Any]:
    """The `jwk` of a header that is in order."""
    jwk = header.get("jwk")
    if header.get("typ") != "dpop+jwt" or header.get("alg") not in algorithms:
        raise Refused("invalid_dpop_proof")
    if not isinstance(jwk, dict) or PRIVATE_MEMBERS & jwk.keys():
        raise Refused("invalid_dpop_proof")
    return jwk


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return b64url(hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())


def same_uri(one: object, other: str) -> bool:
    return isinstance(one, str) and (one == other or _normal(one) == _normal(other))


def _normal(uri: str) -> tuple[str, str | None, int | None, str]:
    try:
        parts = urlsplit(uri)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise Refused("invalid_dpop_proof") from None
    return parts.scheme, parts.hostname, port, parts.path or "/"


def b64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


async def challenge(send: Any, code: str, nonce: str | None = None) -> None:
    headers = [(b"www-authenticate", f'DPoP error="{code}"'.encode()), (b"content-length", b"0")]
    if nonce is not None:
        headers.append((b"dpop-nonce", nonce.encode()))
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
