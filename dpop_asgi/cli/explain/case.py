"""A request, and what it is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi.cli.explain.message import Message, encoded
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.jwk import PublicKey
from dpop_asgi.core.policy import Mode, ProofPolicy
from dpop_asgi.core.ports import Replaceable
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.tokens.token_types import DEFAULT_TYPES


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the server would judge by.

    Attributes:
        policy: how proofs are judged.
        nonces: how nonces rotate; `None` if they are off.
        mode: whether Bearer is accepted too.
        issuer: the trusted issuer; `None` if it isn't known.
        audience: of the tokens; `None` if it isn't known.
        types: accepted `typ` of tokens.
        jwks: the issuer's keys; `None` if they aren't known.
        introspects: whether its issuer is asked about tokens that aren't signed.
        store: the store, which is only read; `None` if it isn't to be asked.
        namespace: prefix of the keys in the store.
    """

    policy: ProofPolicy = field(default_factory=ProofPolicy)
    nonces: NoncePolicy | None = field(default_factory=NoncePolicy)
    mode: Mode = "required"
    issuer: str | None = None
    audience: str | None = None
    types: tuple[str | None, ...] = DEFAULT_TYPES
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)
    introspects: bool = False
    store: Replaceable | None = None
    namespace: str = "dpop"


@dataclass(kw_only=True, slots=True)
class Case:
    """A request under examination. The parts that can be read are filled in on the way.

    Attributes:
        message: the request as it was pasted.
        rules: what it is judged by.
        now: when the request is judged, in seconds since the epoch.
        read_at: when the store is read, in seconds since the epoch.
        server_nonce: the nonce that the server issued last, if that is known.
        token: the access token.
        target_uri: the normal form of the URL.
        proof: the value of the one `DPoP` header.
        header: the proof's header.
        claims: the proof's claims.
        signing_input: what is signed.
        signature: the signature.
        key: the public key in the proof.
        token_claims: the token's claims, not verified.
        token_header: the token's header, not verified.
    """

    message: Message
    rules: Rules
    now: float
    read_at: float
    server_nonce: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    target_uri: str | None = None
    proof: bytes | None = field(default=None, repr=False)
    header: Mapping[str, Any] | None = field(default=None, repr=False)
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    signing_input: bytes = field(default=b"", repr=False)
    signature: bytes | None = field(default=None, repr=False)
    key: PublicKey | None = field(default=None, repr=False)
    token_claims: Mapping[str, Any] | None = field(default=None, repr=False)
    token_header: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def token_hash(self) -> str | None:
        """Base64url SHA-256 of the token."""
        return None if self.token is None else sha256_b64url(encoded(self.token))

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the proof's `jwk`."""
        members = (self.header or {}).get("jwk")
        return members if isinstance(members, dict) else {}

    @property
    def algorithm(self) -> str:
        """The proof's `alg`, or empty."""
        algorithm = (self.header or {}).get("alg")
        return algorithm if isinstance(algorithm, str) else ""
