"""Reads a DPoP proof, and puts its parts before the table of checks (RFC 9449 §4.3)."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dpop_asgi.core import jose
from dpop_asgi.core.checks import CLAIM_CHECKS, HEADER_CHECKS, REQUEST_CHECKS, Situation, ask
from dpop_asgi.core.encoding import b64url_decode, strict_json_object
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.errors import InvalidProof, Reason

# A client's header segment is the same in every proof of one key. Entries are made only for keys that have signed,
# and only of the size that real ones have, so that nobody can fill the cache with variations: 4096 take 12 MB.
_CACHED_HEADERS = 4096
_CACHED_HEADER_BYTES = 2048

# Header, payload and signature.
_SEGMENTS = 3

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class ProofHeader:
    """What the header of a proof says, checked; the key is not yet known to have signed anything."""

    algorithm: str
    key: jose.PublicKey


@dataclass(slots=True)  # not frozen: see Situation
class Proof:
    """A well-formed proof with a sound header and well-typed claims; its signature is still unchecked."""

    header: ProofHeader
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    header_segment: bytes = field(default=b"", repr=False)

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
    """Reads the value of a `DPoP` field (RFC 9449 §4.3 items 2, 3, 4, 5, 7)."""

    def __init__(self, policy: ProofPolicy) -> None:
        self._policy = policy
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
        header_segment, payload, signature = _segments(value)
        header = self._headers.get(header_segment) or self._read_header(header_segment)
        claims = _decoded(payload, strict_json_object)
        ask(CLAIM_CHECKS, claims)
        return Proof(header, claims, value[: -len(signature) - 1], _decoded(signature, bytes), header_segment)

    def remember(self, proof: Proof) -> None:
        """Spare the next proof with this header the import of its key; the signature of this one was verified."""
        segment = proof.header_segment
        if len(segment) > _CACHED_HEADER_BYTES:
            return
        # Least recently used goes first.
        self._headers[segment] = proof.header
        self._headers.move_to_end(segment)
        if len(self._headers) > _CACHED_HEADERS:
            self._headers.popitem(last=False)

    def _read_header(self, segment: bytes) -> ProofHeader:
        header = _decoded(segment, strict_json_object)
        ask(HEADER_CHECKS, header, self._policy)
        try:
            return ProofHeader(header["alg"], jose.import_public_key(header["jwk"], header["alg"]))
        except ValueError:
            # Without the cause: messages of the libraries below may quote key material.
            raise InvalidProof(Reason.KEY_INVALID) from None


def _segments(value: bytes) -> tuple[bytes, bytes, bytes]:
    """RFC 7515 §7.1; which characters stand in them is seen when they are decoded."""
    segments = value.split(b".", 3)
    if len(segments) != _SEGMENTS or not segments[-1]:
        raise InvalidProof(Reason.PROOF_MALFORMED)
    return segments[0], segments[1], segments[2]


def _decoded(segment: bytes, read: Callable[[bytes], _Read]) -> _Read:
    try:
        return read(b64url_decode(segment))
    except (ValueError, RecursionError):
        raise InvalidProof(Reason.PROOF_MALFORMED) from None
