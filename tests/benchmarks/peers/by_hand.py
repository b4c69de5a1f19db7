"""A resource server as a careful developer writes it by hand, around whichever JOSE library."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.material import ORIGIN
from tests.benchmarks.subjects import App, Receive, Scope, Send

ALGORITHMS = ["ES256"]
PROOF_CLAIMS = ["jti", "htm", "htu", "iat", "ath"]
TOKEN_CLAIMS = ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "cnf"]
TOKEN_TYPES = {"at+jwt", "application/at+jwt"}
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SECRET = b"all workers know it"
_MAX_AGE, _NONCE_PERIOD = 60, 60.0


class Refused(Exception):
    """The error code for the client."""


class ResourceServer:
    """ASGI middleware: the leanest form there is.

    Its library gives, by `proof`, the `jwk` and the claims of a proof whose header and signature hold, and by `token`
    the claims of an access token that is good.
    """

    def __init__(self, app: App, library: Any) -> None:
        self._app = app
        self._library = library
        self._used: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope["caller"] = self._authenticate(scope)
        except Refused as refused:
            await challenge(send, str(refused), _nonce(0))
        else:
            await self._app(scope, receive, send)

    def _authenticate(self, scope: Scope) -> dict[str, Any]:
        token, proof = credentials(scope["headers"])
        jwk, claims = self._library.proof(proof)
        path = scope["raw_path"].decode("ascii").partition("?")[0]
        _check(claims, scope["method"], ORIGIN + path, token)
        token_claims = self._library.token(token)
        key = thumbprint(jwk)
        if not hmac.compare_digest(str(token_claims["cnf"].get("jkt")), key):
            raise Refused("invalid_token")
        if not self._first_use(hashlib.sha256(f"{key} {claims['jti']}".encode()).hexdigest()):
            raise Refused("invalid_dpop_proof")
        return {"sub": token_claims["sub"], "jkt": key}

    def _first_use(self, proof: str) -> bool:
        """All are remembered equally long, so the oldest is always the first to go."""
        now = time.time()
        while self._used and next(iter(self._used.values())) < now:
            self._used.popitem(last=False)
        if proof in self._used:
            return False
        self._used[proof] = now + 2 * _MAX_AGE + 1
        return True


def _check(claims: dict[str, Any], method: str, uri: str, token: str) -> None:
    same_request = claims["htm"] == method and same_uri(claims["htu"], uri)
    recent = type(claims["iat"]) is int and abs(time.time() - claims["iat"]) <= _MAX_AGE
    if not (same_request and recent and isinstance(claims["jti"], str) and claims["jti"]):
        raise Refused("invalid_dpop_proof")
    if not hmac.compare_digest(str(claims["ath"]).encode(), _b64url_hash(token)):
        raise Refused("invalid_dpop_proof")
    nonce = str(claims.get("nonce")).encode()
    if not any(hmac.compare_digest(nonce, _nonce(back).encode()) for back in (0, 1)):
        raise Refused("use_dpop_nonce")


def _nonce(slots_back: int) -> str:
    slot = int(time.time() / _NONCE_PERIOD) - slots_back
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


def check_header(header: dict[str, Any]) -> dict[str, Any]:
    """The `jwk` of a header that is in order."""
    jwk = header.get("jwk")
    if header.get("typ") != "dpop+jwt" or header.get("alg") not in ALGORITHMS:
        raise Refused("invalid_dpop_proof")
    if not isinstance(jwk, dict) or _PRIVATE_MEMBERS & jwk.keys():
        raise Refused("invalid_dpop_proof")
    return jwk


def check_token(header: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """The claims of an access token of RFC 9068 that is bound to a key."""
    if str(header.get("typ")).lower() not in TOKEN_TYPES or not isinstance(claims.get("cnf"), dict):
        raise Refused("invalid_token")
    return claims


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638, of the keys of ES256."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return _b64url_hash(canonical).decode()


def _b64url_hash(text: str) -> bytes:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")


def same_uri(one: object, other: str) -> bool:
    return isinstance(one, str) and (one == other or _normal(one) == _normal(other))


def _normal(uri: str) -> tuple[str, str | None, int | None, str]:
    try:
        parts = urlsplit(uri)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise Refused("invalid_dpop_proof") from None
    return parts.scheme, parts.hostname, port, parts.path or "/"


async def challenge(send: Send, code: str, nonce: str) -> None:
    headers = [(b"www-authenticate", f'DPoP error="{code}"'.encode()), (b"dpop-nonce", nonce.encode())]
    await send({"type": "http.response.start", "status": 401, "headers": [*headers, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
