"""A proof before it is signed: every part of it can be changed, also to what no client sends."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.differential import base64url, keys
from tests.differential.verifier import Request

NOW = 1_700_000_000.0
METHOD = "POST"
URI = "https://api.example.com/v1/orders/a%2Fb"
TOKEN = "an-opaque.access_token~1"
PERIOD = 60
SLOT = int(NOW // PERIOD)

# A name may stand twice, so members are pairs.
Members = list[tuple[str, Any]]
Change = Callable[[bytes], bytes]


def nonce_of(slot: int) -> str:
    """What the server's store has for a slot."""
    return f"nonce-of-slot-{slot}"


# RFC 9449 §8 leaves it to the server for how long: here the slot before, the current one and the next.
NONCES = frozenset(nonce_of(SLOT + ahead) for ahead in (-1, 0, 1))


def ath(token: str) -> str:
    return base64url.encode(sha256(token.encode()).digest()).decode()


def unchanged(raw: bytes) -> bytes:
    return raw


def text(members: Members) -> bytes:
    """The JSON object with these members in this order."""
    pairs = (f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members)
    return ("{" + ",".join(pairs) + "}").encode()


@dataclass
class Draft:
    """A correct proof of a client with `algorithm` for `request`, until something is changed.

    Attributes:
        signed_with: the name of the key that signs, or a function.
        header_text, claims_text: change the JSON text before it is encoded.
        segments: changes the three segments after the signature was made.
        sent: makes the `DPoP` fields of the value.
    """

    algorithm: str
    request: Request
    header: Members = field(default_factory=list)
    claims: Members = field(default_factory=list)
    signed_with: str | keys.Sign = ""
    header_text: Change = unchanged
    claims_text: Change = unchanged
    segments: Callable[[list[bytes]], list[bytes]] = list
    sent: Callable[[bytes], list[bytes]] = lambda value: [value]

    def __post_init__(self) -> None:
        name = keys.NAMES[self.algorithm]
        self.signed_with = name
        self.header = [("typ", "dpop+jwt"), ("alg", self.algorithm), ("jwk", keys.public(name))]
        self.claims = [
            ("jti", "a-jti"),
            ("htm", self.request.method),
            ("htu", self.request.uri),
            ("iat", int(self.request.now)),
            ("ath", ath(self.request.token)),
        ]
        if self.request.nonces is not None:
            self.claims.append(("nonce", nonce_of(SLOT)))

    @property
    def jwk(self) -> dict[str, Any]:
        """The key in the header; empty when there is none."""
        return next((value for name, value in self.header if name == "jwk" and type(value) is dict), {})

    def proofs(self) -> list[bytes]:
        """The `DPoP` fields."""
        payload = self.claims_text(text(self.claims))
        signed = b".".join(base64url.encode(part) for part in (self.header_text(text(self.header)), payload))
        segments = [*signed.split(b"."), base64url.encode(self.sign(signed))]
        return self.sent(b".".join(self.segments(segments)))

    @property
    def sign(self) -> keys.Sign:
        return keys.signer(self.signed_with) if isinstance(self.signed_with, str) else self.signed_with


def draft(algorithm: str, *, nonces: bool = True) -> Draft:
    """A proof that is correct in every part."""
    request = Request(
        method=METHOD,
        uri=URI,
        token=TOKEN,
        jkt=keys.jkt(keys.NAMES[algorithm]),
        now=NOW,
        nonces=NONCES if nonces else None,
    )
    return Draft(algorithm, request)


def put(members: Members, name: str, value: Any) -> None:
    """Replace a member, or add it."""
    for place, (known, _) in enumerate(members):
        if known == name:
            members[place] = (name, value)
            return
    members.append((name, value))


def drop(members: Members, name: str) -> None:
    members[:] = [pair for pair in members if pair[0] != name]
