"""An issuer that is trusted, and what its tokens must be like."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dpop_asgi.core import jwk
from dpop_asgi.core.options import one_or_more, require
from dpop_asgi.tokens.token_types import DEFAULT_TYPES, check_types

# RFC 9068 §2.1 requires support for RS256, and most issuers sign with it. FAPI 2.0 §5.4.1 forbids it.
DEFAULT_ALGORITHMS = ("ES256", "PS256", "RS256", "Ed25519", "EdDSA")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedIssuer:
    """An issuer, its keys, and the audience that its tokens must have.

    Attributes:
        issuer: `iss`, compared character by character.
        audience: one of these must be in `aud` (RFC 9068 §4).
        jwks_uri: the URL of its keys. By default its metadata is used (RFC 8414, OpenID Connect Discovery).
        jwks: its keys, instead of a URL.
        algorithms: accepted `alg` values.
        types: accepted `typ` values; `None` stands for a token without `typ`. Compared case-insensitively, with or
            without the prefix `application/`. Types other than `at+jwt` are accepted for DPoP-bound tokens only.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    issuer: str
    audience: str | Collection[str]
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)
    algorithms: Collection[str] = DEFAULT_ALGORITHMS
    types: Collection[str | None] = DEFAULT_TYPES

    def __post_init__(self) -> None:
        """Reject options with which no token could ever be accepted."""
        audience = one_or_more("audience", self.audience, "one or more audiences, none of them empty")
        one_or_more("issuer", [self.issuer], "an issuer identifier, not empty")
        require("jwks", self.jwks is None or self.jwks_uri is None, "given without jwks_uri")
        jwks: object = self.jwks
        is_key_set = jwks is None or (isinstance(jwks, Mapping) and isinstance(jwks.get("keys"), list))
        require("jwks", is_key_set, 'a key set, {"keys": [...]}; for a URL there is jwks_uri')
        object.__setattr__(self, "audience", audience)
        object.__setattr__(self, "algorithms", jwk.check_algorithms("algorithms", self.algorithms))
        object.__setattr__(self, "types", check_types(self.types))


def trusted_issuers(issuers: Iterable[TrustedIssuer], one: Mapping[str, Any]) -> tuple[TrustedIssuer, ...]:
    """`issuers`, or the single issuer that the options in `one` describe.

    Raises:
        ValueError: If there are both or none, or an issuer twice; the message names the option.
    """
    several = (issuers,) if isinstance(issuers, TrustedIssuer) else tuple(issuers)
    require("issuer", bool(several) != (one["issuer"] is not None), "set, or issuers instead, and not both")
    require("issuers", all(isinstance(each, TrustedIssuer) for each in several), "a list of TrustedIssuer objects")
    require("issuers", len({each.issuer for each in several}) == len(several), "different from each other")
    defaults = {
        "audience": (),
        "jwks_uri": None,
        "jwks": None,
        "algorithms": DEFAULT_ALGORITHMS,
        "types": DEFAULT_TYPES,
    }
    for option, default in defaults.items():
        require(option, not several or one[option] == default, "set in each TrustedIssuer, if there are several")
    return several or (TrustedIssuer(**one),)
