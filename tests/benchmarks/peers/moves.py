"""How requests are made that are right but for one thing: each move sends some, and returns the status that counts."""

import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

from dpop_asgi.core.encoding import b64url_decode, b64url_encode, sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.benchmarks.peers.api import TARGET
from tests.benchmarks.peers.attacker import Attacker, unsigned
from tests.benchmarks.peers.by_hand import thumbprint

Move = Callable[[Attacker], int]

REFUSED, ACCEPTED, SWITCHING = 401, 200, 101
_COPIES = 16


def changed(**changes: Any) -> Move:
    return lambda attacker: attacker.with_proof(**changes)


def htu(make: Callable[[str], str]) -> Move:
    return lambda attacker: attacker.with_proof(claims={"htu": make(attacker.api.origin + TARGET)})


def twice(attacker: Attacker, change: Callable[[str], str] = str, **where: Any) -> int:
    """The status of a good proof at its second use."""
    token = attacker.token()
    proof = attacker.proof(token)
    first = attacker.send(token, proof)
    assert first == ACCEPTED, first
    return attacker.send(token, change(proof), **where)


def at_once(attacker: Attacker) -> int:
    token = attacker.token()
    statuses = attacker.at_once(token, attacker.proof(token), copies=_COPIES)
    return REFUSED if statuses.count(ACCEPTED) == 1 else ACCEPTED


def after_a_refusal(**fault: Any) -> Move:
    def make(attacker: Attacker) -> int:
        token = attacker.token()
        jti = {"jti": secrets.token_urlsafe()}
        attacker.send(token, attacker.proof(token, **{**fault, "claims": {**fault.get("claims", {}), **jti}}))
        return attacker.send(token, attacker.proof(token, claims=jti))

    return make


def two_proofs(join: Callable[..., tuple[str, ...]]) -> Move:
    def make(attacker: Attacker) -> int:
        token = attacker.token()
        return attacker.send(token, *join(attacker.proof(token), attacker.proof(token)))

    return make


def two_tokens(attacker: Attacker) -> int:
    token = attacker.token()
    one = ("authorization", f"DPoP {token}")
    return attacker.send_fields([one, one, ("dpop", attacker.proof(token))])


def in_query(attacker: Attacker) -> int:
    token = attacker.token()
    return attacker.send_fields([("dpop", attacker.proof(token))], target=f"{TARGET}?access_token={token}")


def under_scheme(scheme: str, *, proofs: int = 1, **changes: Any) -> Move:
    def make(attacker: Attacker) -> int:
        token = attacker.token()
        return attacker.send(token, *[attacker.proof(token, **changes)][:proofs], scheme=scheme)

    return make


def resigned(change: Callable[[str], str]) -> Move:
    def make(attacker: Attacker) -> int:
        token = attacker.token()
        return attacker.send(token, change(attacker.proof(token)))

    return make


class _SharedSecret:
    """A key for HS256 that stands in the proof itself."""

    secret = bytes(32)
    jwk: ClassVar[dict[str, str]] = {"k": b64url_encode(secret), "kty": "oct"}

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, "sha256")


def shared_secret(attacker: Attacker) -> int:
    key: Any = _SharedSecret()
    jkt = sha256_b64url(json.dumps(key.jwk, separators=(",", ":")))
    token = attacker.issuer.access_token(claims={"cnf": {"jkt": jkt}})
    return attacker.send(token, attacker.proof(token, header={"alg": "HS256", "jwk": key.jwk}, signed_by=key))


def other_encoding(attacker: Attacker) -> int:
    """One key, and a second thumbprint for it."""
    key = PrivateKey.generate()
    longer = b64url_encode(b"\0" + b64url_decode(key.public_jwk["x"].encode()))
    token = attacker.issuer.access_token(claims={"cnf": {"jkt": thumbprint({**key.public_jwk, "x": longer})}})
    header = {"jwk": {**key.public_jwk, "x": longer}}
    return attacker.send(token, attacker.proof(token, client=Client(key=key), header=header))


def stolen(attacker: Attacker) -> int:
    """A token that was leaked, with a proof by a key of the thief's own."""
    token = attacker.token()
    return attacker.send(token, attacker.proof(token, client=Client()))


def bound_by(cnf: object) -> Move:
    return lambda attacker: attacker.with_token(claims={"cnf": cnf})


def by_stranger(attacker: Attacker) -> int:
    return attacker.with_token(signed_by=PrivateKey.generate())


def without_signature(attacker: Attacker) -> int:
    token = unsigned(attacker.token())
    return attacker.send(token, attacker.proof(token))


def of_another_path(target: str, claimed: str) -> Move:
    def make(attacker: Attacker) -> int:
        token = attacker.token()
        return attacker.send(token, attacker.proof(token, target=claimed), target=target)

    return make


def old_nonce(attacker: Attacker) -> int:
    """The nonce from before all others; without one there is nothing to grow old."""
    if attacker.first_nonce is None:
        return ACCEPTED
    return attacker.with_proof(nonce=attacker.first_nonce)


def handshake(attacker: Attacker) -> int:
    """A WebSocket handshake by somebody without credentials."""
    fields = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    status = attacker.send_fields([*fields, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], target="/ws")
    return ACCEPTED if status == SWITCHING else status
