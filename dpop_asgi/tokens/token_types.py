"""The `typ` of access tokens: it keeps other JWTs of an issuer, ID tokens above all, from passing as one."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.options import require
from dpop_asgi.core.strict_json import shown
from dpop_asgi.errors import InvalidToken, Reason

# RFC 9068 §2.1.
ACCESS_TOKEN = "at+jwt"  # noqa: S105 - a type
DEFAULT_TYPES: tuple[str | None, ...] = (ACCESS_TOKEN,)

# A media type without parameters, with or without `application/` (RFC 6838 §4.2, RFC 7515 §4.1.9).
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*(/[a-z0-9][a-z0-9!#$&^_.+-]*)?", re.IGNORECASE | re.ASCII)

# OpenID Connect Core §3.1.3.6, §3.3.2.11: the hashes are defined for ID tokens only, and so is the nonce of a login.
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")

# What issuers call tokens that an introspection endpoint knows, but that are no access tokens, and where they say it.
_OTHER_TOKENS = frozenset({"refresh", "refresh_token", "offline", "id", "id_token"})
_KINDS = ("token_type", "token_use", "typ")
# What they call one that needs no proof (RFC 6750); some name what kind of token it is instead.
_BEARER = frozenset({"bearer", "access_token"})
_URN = "urn:ietf:params:oauth:token-type:"  # RFC 8693 §3


@dataclass(frozen=True, slots=True)
class UsualType:
    """What access tokens of an issuer are like unless somebody has changed it.

    Attributes:
        typ: their `typ`; `None` if they have none.
        switch: how to have `at+jwt` instead; empty if there is no way.
    """

    typ: str | None
    switch: str = ""


USUAL_TYPES = {
    "Keycloak": UsualType("JWT", 'switch on "Use at+jwt as access token header type" for the client'),
    "Auth0": UsualType("JWT", "choose the token profile RFC 9068 for the API"),
    "Okta": UsualType(None),
    "Spring Authorization Server": UsualType(None, "set the header type to at+jwt in an OAuth2TokenCustomizer"),
}
OKTA_INTERNAL = "okta-internal-at+jwt"
INSTEAD_OF_OKTA_INTERNAL = (
    "use a custom authorization server of Okta, such as /oauth2/default: this one's are for Okta only"
)


def _hint(typ: str | None) -> str:
    """What to change if tokens have this type, which is a usual one; in lower case."""
    issuers = {name: usual for name, usual in USUAL_TYPES.items() if (usual.typ and usual.typ.lower()) == typ}
    switches = "; ".join(f"{name}: {usual.switch}" for name, usual in issuers.items() if usual.switch)
    begins = "" if typ else f"the token has no typ, as those of {' and '.join(issuers)}: "
    listed = "list it" if typ else "list None (none in the variable)"
    return (
        f"{begins}have the issuer set at+jwt ({switches}), or {listed} in the option types (DPOP_TOKEN_TYPES), which "
        "accepts it for DPoP-bound tokens"
    )


_HINTS = {"jwt": _hint("jwt"), None: _hint(None), OKTA_INTERNAL: INSTEAD_OF_OKTA_INTERNAL}


def normal_type(typ: str) -> str:
    """In lower case and without `application/`: types that are equal have one normal form (RFC 7515 §4.1.9)."""
    return typ.lower().removeprefix("application/")


def check_types(types: object) -> tuple[str | None, ...]:
    """The option `types`, in normal form.

    Raises:
        ValueError: If it is empty, or one isn't a media type or `None`; the message names the option.
    """
    several = (types,) if isinstance(types, str) else tuple(types) if isinstance(types, Iterable) else ()
    fits = several and all(each is None or _is_type(each) for each in several)
    require("types", fits, "a list of values of typ, such as at+jwt and JWT, or None for a token without typ")
    return tuple(dict.fromkeys(each if each is None else normal_type(each) for each in several))


def _is_type(each: object) -> bool:
    """`"none"` is no type: it may be meant as `None`."""
    return isinstance(each, str) and _TYPE.fullmatch(each) is not None and each.lower() != "none"


def wrong_type(typ: str | None, accepted: Collection[str | None]) -> InvalidToken:
    """The rejection of a type; for usual ones the log says how to change it."""
    hint = {"hint": _HINTS[typ]} if typ in _HINTS else {}
    return InvalidToken(Reason.TOKEN_TYPE, expected=accepted, received=shown(typ), **hint)


def check_kind(answer: Mapping[str, Any]) -> None:
    """Reject what an introspection endpoint calls another token than an access token.

    Raises:
        InvalidToken: If it is one.
    """
    if any(_kind(answer.get(name)) in _OTHER_TOKENS for name in _KINDS):
        raise InvalidToken(Reason.TOKEN_TYPE)


def is_bearer(token_type: object) -> bool:
    """Whether an introspection endpoint calls a token one that needs no proof."""
    return _kind(token_type) in _BEARER


def _kind(value: object) -> str:
    return str(value).lower().removeprefix(_URN)


def check_no_id_token(claims: Mapping[str, Any], typ: str | None) -> None:
    """Reject an ID token, whatever its type.

    Raises:
        InvalidToken: If it has a claim that only ID tokens have.
    """
    found = tuple(name for name in _OF_ID_TOKENS if claims.get(name) is not None)
    if found:
        raise InvalidToken(Reason.TOKEN_TYPE, received=shown(typ), claims=found, hint="these are claims of an ID token")


def check_bound_unless_typed(token: AccessToken, typ: str | None) -> None:
    """Reject an unbound token of another type than `at+jwt`: it could be an ID token, and pass as Bearer in mixed mode.

    Raises:
        InvalidToken: If it is one.
    """
    if typ != ACCESS_TOKEN and token.key_thumbprint is None:
        hint = "without cnf.jkt only at+jwt is accepted: a token of another type could be an ID token"
        raise InvalidToken(Reason.BINDING_MISSING, received=shown(typ), hint=hint)


def check_token_type(token: AccessToken) -> None:
    """`token_type`, if the answer has it: DPoP for a bound token and no other (RFC 9449 §6.2), else one that is known.

    A token of another type must not be used (RFC 6749 §7.1): how its sender has to prove itself is not known. `N_A`
    says that it isn't an access token (RFC 8693 §2.2.1).

    Raises:
        InvalidToken: If it is of another type.
    """
    token_type = token.claims.get("token_type")
    if token_type is None:
        return
    is_dpop, is_bound = str(token_type).lower() == "dpop", token.key_thumbprint is not None
    if not is_bound and not is_dpop and not is_bearer(token_type):
        raise InvalidToken(Reason.TOKEN_TYPE, expected=("Bearer", "DPoP"), claim="token_type")
    if is_dpop != is_bound:
        raise InvalidToken(Reason.BINDING_MALFORMED if is_bound else Reason.BINDING_MISSING, claim="token_type")
