"""An access token as it was sent: a compact JWS with a JSON payload, nothing of which is verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dpop_asgi.core.encoding import b64url_decode, split_jws, strict_json_object
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.key_set import KeySet

# Enough for a list of names that fills a token of 16 KB. Reading so many numbers takes as long as two signatures.
_MOST_VALUES = 2000

# Keys tried for a token without `kid`: each costs a signature check.
_MOST_CANDIDATES = 8


@dataclass(slots=True)  # not frozen: see Situation
class SignedToken:
    """The parts of a token; `algorithm` is empty where the header has none."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    algorithm: str
    kid: str | None
    signing_input: bytes
    signature: bytes

    @classmethod
    def parse(cls, token: str) -> Self:
        """Take a token apart.

        Raises:
            InvalidToken: it is no compact JWS, its header or payload is not a strict JSON object,
                or has a `crit` or `b64` that nobody here understands.
        """
        try:
            signing_input, protected, payload, signature = split_jws(token.encode("ascii"))
            header = strict_json_object(b64url_decode(protected))
            claims = strict_json_object(b64url_decode(payload), most_values=_MOST_VALUES)
            return cls(header, claims, *_algorithm_and_kid(header), signing_input, b64url_decode(signature))
        except (ValueError, RecursionError):
            raise InvalidToken(Reason.TOKEN_MALFORMED) from None

    def may_be_signed_by(self, keys: KeySet) -> bool:
        """Whether one of them fits `alg` and `kid`."""
        return bool(keys.candidates(self.algorithm, self.kid))

    def is_signed_by(self, keys: KeySet) -> bool:
        """Whether one of them made the signature."""
        candidates = keys.candidates(self.algorithm, self.kid)[:_MOST_CANDIDATES]
        return any(key.verify(self.algorithm, self.signing_input, self.signature) for key in candidates)

    @property
    def audiences(self) -> set[str]:
        """The names in `aud`."""
        audience = self.claims.get("aud")
        names = audience if isinstance(audience, list) else [audience]
        return {name for name in names if isinstance(name, str)}


def _algorithm_and_kid(header: Mapping[str, Any]) -> tuple[str, str | None]:
    algorithm, kid = header.get("alg"), header.get("kid")
    if header.keys() & {"crit", "b64"} or not (kid is None or isinstance(kid, str)):
        raise InvalidToken(Reason.TOKEN_MALFORMED)
    return algorithm if isinstance(algorithm, str) else "", kid
