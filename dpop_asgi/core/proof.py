"""Parses DPoP proofs and runs the checks on their parts (RFC 9449 §4.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi.core import jwk
from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.checks import (
    CLAIMS,
    CLAIMS_WITH_TOKEN,
    ProofContext,
    claim_failures,
    header_failures,
    request_failures,
)
from dpop_asgi.core.encoding import b64url_decode, split_jws
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import InvalidProof, Reason

# A client's header segment is the same in every proof of one key. The cache has one entry for each key. It is made only
# after a token that is bound to the key was verified, and only for headers of the usual size, so that clients can't
# fill the cache with variations. 4096 entries take 12 MB.
CACHED_HEADERS = 4096
_CACHED_HEADER_BYTES = 2048


@dataclass(slots=True)
class ProofHeader:
    """The checked header of a proof. Its key has not verified a signature yet."""

    segment: bytes = field(repr=False)
    algorithm: str
    key: jwk.PublicKey | jwk.PublicJWK

    def load_key(self) -> jwk.PublicKey:
        """Import the key. Only when it is needed, since that is the most expensive part of a header.

        Raises:
            InvalidProof: If the JWK isn't a valid public key.
        """
        if isinstance(self.key, jwk.PublicJWK):
            try:
                self.key = self.key.load()
            except ValueError:
                # Without the cause: messages of the libraries below may contain key material.
                raise InvalidProof(Reason.KEY_INVALID) from None
        return self.key


@dataclass(slots=True)  # hot path: a frozen one takes longer to make
class Proof:
    """A well-formed proof whose header and claims have the right types. Its signature is not verified yet."""

    header: ProofHeader
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def check(self, context: ProofContext) -> float:
        """Compare the claims with the request (RFC 9449 §4.3 items 8, 9, 11, 12a).

        Returns:
            The last instant, in seconds since the epoch, at which these claims are acceptable.

        Raises:
            InvalidProof: If one fails: the first of `request_failures`.
        """
        claims, policy = self.claims, context.policy
        for failure in request_failures(claims, context):
            raise failure
        until = float(claims["iat"] + policy.max_age)
        return min(until, claims["exp"] + policy.max_future) if "exp" in claims else until

    def verify_signature(self) -> str:
        """RFC 9449 §4.3 item 6.

        Returns:
            The thumbprint of the key that signed this proof.

        Raises:
            InvalidProof: If the JWK isn't a valid public key, or didn't sign this proof.
        """
        key = self.header.load_key()
        if not key.verify(self.header.algorithm, self.signing_input, self.signature):
            raise InvalidProof(Reason.SIGNATURE_INVALID)
        return key.thumbprint


class ProofReader:
    """Parses the value of a `DPoP` header (RFC 9449 §4.3 items 2, 3, 4, 5, 7).

    Args:
        policy: the numbers.
        cached: the number of headers that are cached.
        has_token: whether proofs come with an access token, and must have its hash (`ath`).
    """

    def __init__(self, policy: ProofPolicy, *, cached: int = CACHED_HEADERS, has_token: bool = True) -> None:
        self._policy = policy
        self._required = CLAIMS_WITH_TOKEN if has_token else CLAIMS
        self._headers: BoundedCache[bytes, ProofHeader] = BoundedCache(cached)
        self._segments: dict[str, bytes] = {}

    def read(self, value: bytes) -> Proof:
        """The proof in `value`.

        Raises:
            InvalidProof: If it is too large, isn't a compact JWS, or fails a check of its header or claims.
        """
        if len(value) > self._policy.max_bytes:
            raise InvalidProof(Reason.PROOF_TOO_LARGE, size=len(value), limit=self._policy.max_bytes)
        try:
            signing_input, segment, payload, signature = split_jws(value)
            raw_signature, raw_claims = b64url_decode(signature), b64url_decode(payload)
            header = self._headers.get(segment) or self._read_header(segment)
            proof = Proof(header, strict_json_object(raw_claims), signing_input, raw_signature)
        except (ValueError, RecursionError):
            raise InvalidProof(Reason.PROOF_REPEATED if b"," in value else Reason.PROOF_MALFORMED) from None
        for failure in claim_failures(proof.claims, required=self._required):
            raise failure
        return proof

    def remember(self, proof: Proof) -> None:
        """Cache the header of a proof that was verified, and whose token is bound to its key."""
        header = proof.header
        if header.segment in self._headers:
            # The least recently used one is dropped first.
            self._headers.move_to_end(header.segment)
        elif len(header.segment) <= _CACHED_HEADER_BYTES:
            thumbprint = header.load_key().thumbprint
            self._headers.pop(self._segments.get(thumbprint, b""), None)
            self._segments[thumbprint] = header.segment
            dropped = self._headers.keep(header.segment, header)
            if dropped is not None:
                del self._segments[dropped.load_key().thumbprint]

    def _read_header(self, segment: bytes) -> ProofHeader:
        header = strict_json_object(b64url_decode(segment))
        for failure in header_failures(header, self._policy):
            raise failure
        try:
            key = jwk.parse_public_jwk(header["jwk"], header["alg"])
        except ValueError:
            raise InvalidProof(Reason.KEY_INVALID) from None
        return ProofHeader(segment, header["alg"], key)
