"""The switches, and the numbers by which a proof is judged, each with its source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from dpop_asgi.core import jwk

Mode = Literal["required", "mixed"]
Scheme = Literal["DPoP", "Bearer"]
Protect = Literal["everything", "routes"]
OnStoreFailure = Literal["refuse", "accept"]

# FAPI 2.0 §5.4.1; EdDSA is the older name of Ed25519 (RFC 9864 §2.2).
_FAPI2_ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofPolicy:
    """Every number by which a proof is judged. Times are seconds.

    Attributes:
        algorithms: accepted `alg` values, asymmetric only (RFC 9449 §11.6). Without RS256: FAPI 2.0 §5.4.1 forbids it.
        max_age: how long after its `iat` a proof is accepted (RFC 9449 §11.1; five minutes as most servers do).
        max_future: how far ahead its `iat` may be. FAPI 2.0 §5.3.2.1: accept 10 s, reject more than 60 s.
        max_bytes: size of the `DPoP` header. A proof with an RSA-4096 key has about 1,900 bytes.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    algorithms: Sequence[str] = _FAPI2_ALGORITHMS
    max_age: float = 300.0
    max_future: float = 60.0
    max_bytes: int = 8192

    def __post_init__(self) -> None:
        """Reject values that could not work or would not protect."""
        object.__setattr__(self, "algorithms", jwk.check_algorithms("algorithms", self.algorithms))
        for option in ("max_age", "max_future", "max_bytes"):
            value = getattr(self, option)
            if type(value) not in {int, float} or not 0 <= value < float("inf"):
                msg = f"{option}: {value!r} is not a number of at least 0"
                raise ValueError(msg)
        if self.max_age == 0:
            msg = "max_age: with 0 seconds no proof would ever be accepted"
            raise ValueError(msg)

    @classmethod
    def fapi2(cls) -> Self:
        """FAPI 2.0 Security Profile §5.4.1 and §5.3.2.1."""
        return cls(algorithms=_FAPI2_ALGORITHMS, max_age=300.0, max_future=60.0)

    @classmethod
    def mcp(cls) -> Self:
        """The DPoP extension of the Model Context Protocol: `iat` within five minutes of the server's time."""
        return cls(algorithms=_FAPI2_ALGORITHMS, max_age=300.0, max_future=300.0)
