"""Reads a DPoP proof, and puts its parts before the table of checks (RFC 9449 §4.3)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi.core import jose
from dpop_asgi.core.checks import CLAIM_CHECKS, HEADER_CHECKS, REQUEST_CHECKS, Situation, ask
from dpop_asgi.core.encoding import b64url_decode, split_jws, strict_json_object
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.errors import InvalidProof, Reason

# A client's header segment is the same in every proof of one key. Entries are made only for keys that have signed,
# and only of the size that real ones have, so that nobody can fill the cache with variations: 4096 take 12 MB.
CACHED_HEADERS = 4096
_CACHED_HEADER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class ProofHeader:
    """What the header of a proof says, checked; the key is not yet known to have signed anything."""

    segment: bytes = field(repr=False)
    algorithm: str
    key: jose.PublicKey


@dataclass(slots=True)  # not frozen: see Situation
class Proof:
    """A well-formed proof with a sound header and well-typed claims; its signature is still unchecked."""

    header: ProofHeader
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def check(self, situation: Situation) -> float:
        """Compare the claims with the request (RFC 9449 §4.3 items 8, 9, 11, 12a).

        Returns:
            The last instant, in seconds since the epoch, at which these claims are acceptable.

        Raises:
            InvalidProof: at the first row of `REQUEST_CHECKS` that fails.
        """
        ask(REQUEST_CHECKS, self.claims, situation)
        policy = situation.policy
        until = float(self.claims["iat"] + policy.max_age)
        return min(until, self.claims["exp"] + policy.max_future) if "exp" in self.claims else until

    def verify_signature(self) -> None:
        """RFC 9449 §4.3 item 6.

        Raises:
            InvalidProof: when the embedded key did not sign this proof.
        """
        if not self.header.key.verify(self.header.algorithm, self.signing_input, self.signature):
            raise InvalidProof(Reason.SIGNATURE_INVALID)


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

    def read(self, value: bytes) -> Proof:
        """The proof in `value`.

        Raises:
            InvalidProof: when it is too large, not a compact JWS, or fails `HEADER_CHECKS` or `CLAIM_CHECKS`.
        """
        if len(value) > self._policy.max_bytes:
            raise InvalidProof(Reason.PROOF_TOO_LARGE, size=len(value), limit=self._policy.max_bytes)
        if b"," in value:
            raise InvalidProof(Reason.PROOF_REPEATED)
        try:
            signing_input, segment, payload, signature = split_jws(value)
            header = self._headers.get(segment) or self._read_header(segment)
            claims = strict_json_object(b64url_decode(payload))
            ask(CLAIM_CHECKS, claims, self._policy)
            return Proof(header, claims, signing_input, b64url_decode(signature))
        except (ValueError, RecursionError):
            raise InvalidProof(Reason.PROOF_MALFORMED) from None

    def remember(self, proof: Proof) -> None:
        """Spare the next proof with this header the import of its key; the signature of this one was verified."""
        header = proof.header
        if len(header.segment) > _CACHED_HEADER_BYTES:
            return
        # Least recently used goes first.
        self._headers[header.segment] = header
        self._headers.move_to_end(header.segment)
        if len(self._headers) > self._cached:
            self._headers.popitem(last=False)

    def _read_header(self, segment: bytes) -> ProofHeader:
        header = strict_json_object(b64url_decode(segment))
        ask(HEADER_CHECKS, header, self._policy)
        try:
            return ProofHeader(segment, header["alg"], jose.import_public_key(header["jwk"], header["alg"]))
        except ValueError:
            # Without the cause: messages of the libraries below may quote key material.
            raise InvalidProof(Reason.KEY_INVALID) from None
