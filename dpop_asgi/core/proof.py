"""Reads a DPoP proof, and has its parts checked (RFC 9449 §4.3)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi.core import jwk
from dpop_asgi.core.checks import ProofContext, claim_failures, header_failures, request_failures
from dpop_asgi.core.encoding import b64url_decode, split_jws
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import InvalidProof, Reason

# A client's header segment is the same in every proof of one key. There is one entry for each key, made only when the
# key has come with a token that is bound to it, and only of the size that real ones have: nobody can fill the cache
# with variations. 4096 take 12 MB.
CACHED_HEADERS = 4096
_CACHED_HEADER_BYTES = 2048


@dataclass(slots=True)
class ProofHeader:
    """What the header of a proof says, checked; the key is not yet known to have signed anything."""

    segment: bytes = field(repr=False)
    algorithm: str
    key: jwk.PublicKey | jwk.PublicJWK

    def load_key(self) -> jwk.PublicKey:
        """Have the key ready. Not before it is needed, since that is the dearest part of a header.

        Raises:
            InvalidProof: it is none.
        """
        if isinstance(self.key, jwk.PublicJWK):
            try:
                self.key = self.key.load()
            except ValueError:
                # Without the cause: messages of the libraries below may quote key material.
                raise InvalidProof(Reason.KEY_INVALID) from None
        return self.key


@dataclass(slots=True)  # not frozen: see Situation
class Proof:
    """A well-formed proof with a sound header and well-typed claims; its signature is still unchecked."""

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
            InvalidProof: when the embedded key is none, or did not sign this proof.
        """
        key = self.header.load_key()
        if not key.verify(self.header.algorithm, self.signing_input, self.signature):
            raise InvalidProof(Reason.SIGNATURE_INVALID)
        return key.thumbprint


class ProofReader:
    """Reads the value of a `DPoP` field (RFC 9449 §4.3 items 2, 3, 4, 5, 7).

    Args:
        policy: the numbers.
        cached: so many headers are remembered.
    """

    def __init__(self, policy: ProofPolicy, *, cached: int = CACHED_HEADERS) -> None:
        self._policy = policy
        self._cached = cached
        self._headers: OrderedDict[bytes, ProofHeader] = OrderedDict()
        self._segments: dict[str, bytes] = {}

    def read(self, value: bytes) -> Proof:
        """The proof in `value`.

        Raises:
            InvalidProof: when it is too large, not a compact JWS, or fails a check of header or claims.
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
        for failure in claim_failures(proof.claims):
            raise failure
        return proof

    def remember(self, proof: Proof) -> None:
        """Spare the next proof with this header the import of its key; this one was verified, and its token bound."""
        header = proof.header
        if header.segment in self._headers:
            # Least recently used goes first.
            self._headers.move_to_end(header.segment)
        elif len(header.segment) <= _CACHED_HEADER_BYTES and self._cached:
            thumbprint = header.load_key().thumbprint
            self._headers.pop(self._segments.get(thumbprint, b""), None)
            self._headers[header.segment] = header
            self._segments[thumbprint] = header.segment
            if len(self._headers) > self._cached:
                _, forgotten = self._headers.popitem(last=False)
                del self._segments[forgotten.load_key().thumbprint]

    def _read_header(self, segment: bytes) -> ProofHeader:
        header = strict_json_object(b64url_decode(segment))
        for failure in header_failures(header, self._policy):
            raise failure
        try:
            key = jwk.parse_public_jwk(header["jwk"], header["alg"])
        except ValueError:
            raise InvalidProof(Reason.KEY_INVALID) from None
        return ProofHeader(segment, header["alg"], key)
