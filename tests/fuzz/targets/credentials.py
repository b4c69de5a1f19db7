"""Lists of `Authorization` and `DPoP` fields: accepted exactly when RFC 9110 §11.4 and RFC 9449 §7.1 say so."""

from base64 import urlsafe_b64encode
from hashlib import sha256

from dpop_asgi import InvalidProof, Reason, Refusal
from dpop_asgi.core.credentials import Credentials, read_credentials
from tests.differential.drawn import Drawn
from tests.fuzz.catalogue import Target, demand

Fields = list[tuple[bytes, bytes]]

_NAMES = (b"authorization", b"dpop", b"host", b"proxy-authorization", b"dpop-nonce", b"Authorization", b"")
_PREFIXES = (b"DPoP ", b"", b"dPOP  ", b"Bearer ", b"DPoP\t", b"DPoP", b"Basic ", b" DPoP ", b"DPoP,", b"DPoP \x00")
_SUFFIXES = (b"", b"=", b"==", b" ", b"\t", b"\n", b" a", b",", b"==a")
_TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_TOKEN68 = frozenset(b"-._~+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LIMIT = 16384


def make() -> Target:
    return one


def one(data: bytes) -> None:
    fields = drawn_fields(Drawn(data))
    expected = judged(fields)
    try:
        found = read_credentials(fields)
    except Refusal as refusal:
        demand(refusal.reason == expected, f"refused as {refusal.reason}, which should be {expected!r}")
        return
    demand(expected == (found.scheme, found.token), f"read as {found!r}, which should be {expected!r}")
    hashed = urlsafe_b64encode(sha256(found.token.encode()).digest()).rstrip(b"=").decode()
    demand(found.token_hash == hashed, "not the hash of the token")
    _check_proof(found, [value for name, value in fields if name == b"dpop"])


def drawn_fields(drawn: Drawn) -> Fields:
    count = 1 + drawn.below(4)
    fields = [_drawn_field(drawn) for _ in range(count)]
    name, value = fields[-1]
    return [*fields[:-1], (name, value + drawn.rest())]


def _drawn_field(drawn: Drawn) -> tuple[bytes, bytes]:
    name, prefix, suffix = drawn.pick(_NAMES), drawn.pick(_PREFIXES), drawn.pick(_SUFFIXES)
    return name, prefix + drawn.long_piece(_LIMIT + 8) + suffix


def judged(fields: Fields) -> tuple[str, str] | Reason:
    """Scheme and token, or why not; without a regular expression."""
    values = [value for name, value in fields if name == b"authorization"]
    if len(values) != 1:
        return Reason.AUTHORIZATION_REPEATED if values else Reason.AUTHORIZATION_MISSING
    value = values[0]
    if len(value) > _LIMIT:
        return Reason.AUTHORIZATION_TOO_LARGE
    end = next((place for place, octet in enumerate(value) if octet not in _TCHAR), len(value))
    scheme = {b"dpop": "DPoP", b"bearer": "Bearer"}.get(value[:end].lower())
    if scheme is None:
        return Reason.AUTHORIZATION_SCHEME
    credential = value[end:].lstrip(b" ")
    letters = credential.rstrip(b"=")
    if len(credential) == len(value) - end or not letters or not _TOKEN68.issuperset(letters):
        return Reason.AUTHORIZATION_MALFORMED
    return scheme, credential.decode()


def _check_proof(found: Credentials, proofs: list[bytes]) -> None:
    try:
        demand([found.proof()] == proofs, "not the one proof")
    except InvalidProof as refusal:
        expected = Reason.PROOF_REPEATED if proofs else Reason.PROOF_MISSING
        demand(len(proofs) != 1 and refusal.reason == expected, f"{refusal.reason} for {len(proofs)} proofs")
