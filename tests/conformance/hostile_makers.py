"""What makes a hostile proof for a client, which is asked for a correct one by `proof`."""

import hmac
import json
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import jwt
from tests.conformance.peer import Peer
from tests.support.keys import rsa_key

RSA = rsa_key(2048)
OTHER_KEY = PrivateKey.generate()


def signed(peer: Peer, *, header: Any = None, claims: Any = None) -> str:
    """A proof with a good signature, after `header` and `claims` have had their way with the JSON bytes."""
    parts = [b64url_decode(part.encode()) for part in peer.proof().split(".")[:2]]
    changes = [header or (lambda raw: raw), claims or (lambda raw: raw)]
    first, second = [change(part) for change, part in zip(changes, parts, strict=True)]
    return jwt(first, second, peer.client.key)


def header_with(change: Any) -> Any:
    return lambda peer: signed(peer, header=change)


def payload_with(change: Any) -> Any:
    return lambda peer: signed(peer, claims=change)


def with_literal(name: str, literal: str) -> Any:
    """Set a claim to JSON that `json.dumps` would not write."""

    def change(raw: bytes) -> bytes:
        return json.dumps({**json.loads(raw), name: "LITERAL"}).replace('"LITERAL"', literal).encode()

    return payload_with(change)


def twice(name: str) -> Any:
    """Let a member stand a second time, with the same value."""

    def change(raw: bytes) -> bytes:
        return b"{" + json.dumps({name: json.loads(raw)[name]}).encode()[1:-1] + b"," + raw[1:]

    return change


def parts(*segments: bytes) -> Any:
    """A value of three or other parts, whatever they are."""
    return lambda _: ".".join(b64url_encode(segment) for segment in segments)


def text(value: str) -> Any:
    return lambda _: value


def with_key(**changes: Any) -> Any:
    """A `jwk` with members changed; `None` takes one away."""

    def make(peer: Peer) -> str:
        members = {**peer.client.key.public_jwk, **changes}
        return peer.proof(header={"jwk": {name: value for name, value in members.items() if value is not None}})

    return make


def by_rsa(**members: Any) -> Any:
    """A proof that an RSA key did sign, with other or further members."""
    changes = {"jwk": {**RSA.public_jwk, **members}, "alg": "PS256"}
    return lambda peer: peer.proof(header=changes, signed_by=RSA)


def segments(change: Any) -> Any:
    """A proof whose three parts were changed after it was signed."""
    return lambda peer: ".".join(change(*peer.proof().split(".")))


def with_signature(change: Any) -> Any:
    return segments(lambda h, p, s: [h, p, b64url_encode(change(b64url_decode(s.encode())))])


def with_more(segment: str) -> str:
    """With one more member in its JSON."""
    return b64url_encode(b64url_decode(segment.encode())[:-1] + b',"added":1}')


def shared_secret(secret: bytes, digest: str = "sha256") -> Any:
    """Signs by HMAC, as an attacker does who takes a public key for a secret."""
    return SimpleNamespace(sign=lambda message: hmac.digest(secret, message, digest))


def by_shared_secret(bits: str) -> Any:
    def make(peer: Peer) -> str:
        secret = shared_secret(json.dumps(peer.client.key.public_jwk).encode(), f"sha{bits}")
        return peer.proof(header={"alg": f"HS{bits}"}, signed_by=secret)

    return make


def in_der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def without(name: str) -> Any:
    return lambda peer: peer.proof(without=[name])


def header(**changes: Any) -> Any:
    return lambda peer: peer.proof(header=changes)


def claims(**changes: Any) -> Any:
    return lambda peer: peer.proof(claims=changes)


def token_hash(peer: Peer) -> str:
    payload = json.loads(b64url_decode(peer.proof().split(".")[1].encode()))
    return str(payload["ath"])
