"""Issuers that can be recognised, and what their access tokens are like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpop_asgi.cli.check.text import sentence
from dpop_asgi.tokens.token_types import INSTEAD_OF_OKTA_INTERNAL, OKTA_INTERNAL, USUAL_TYPES, UsualType

# Matches nothing.
_NOTHING = "(?!)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What an issuer's access tokens are like unless somebody has changed it.

    Attributes:
        name: of the product.
        issuer: matches its issuer identifiers.
        metadata: or else a member of its metadata, and what that matches: issuers may have domains of their own.
        usual: the type of its tokens.
        binds: whether it can issue tokens that are bound by DPoP.
        instead: what to do if its tokens can't be used at all.
    """

    name: str
    issuer: str
    metadata: tuple[str, str] = ("", _NOTHING)
    usual: UsualType
    binds: bool = True
    instead: str = "Use an issuer that binds access tokens to keys (RFC 9449 §5)."


# The first match counts.
_PRODUCTS = (
    Product(
        name="Keycloak",
        issuer=r"/realms/[^/]+/?$",
        usual=USUAL_TYPES["Keycloak"],
    ),
    Product(
        name="Auth0",
        issuer=r"^https://[^/]+\.auth0\.com(?:/|$)",
        metadata=("mfa_challenge_endpoint", r"/mfa/challenge$"),
        usual=USUAL_TYPES["Auth0"],
    ),
    Product(
        name="Okta's organization server",
        issuer=r"^https://[^/]+\.(?:okta|oktapreview|okta-emea)\.com/?$",
        metadata=("jwks_uri", r"/oauth2/v1/keys$"),
        usual=UsualType(OKTA_INTERNAL),
        binds=False,
        instead=sentence(INSTEAD_OF_OKTA_INTERNAL),
    ),
    Product(
        name="Okta",
        issuer=r"^https://[^/]+\.(?:okta|oktapreview|okta-emea)\.com/oauth2/",
        metadata=("jwks_uri", r"/oauth2/[^/]+/v1/keys$"),
        usual=USUAL_TYPES["Okta"],
    ),
    Product(
        name="Microsoft Entra ID",
        issuer=r"^https://(?:login\.microsoftonline\.(?:com|us)|sts\.windows\.net|[^/]+\.ciamlogin\.com)/",
        usual=UsualType("JWT"),
        binds=False,
    ),
    Product(
        name="Amazon Cognito",
        issuer=r"^https://cognito-idp\.[^/]+\.amazonaws\.com/",
        usual=UsualType(None),
        binds=False,
    ),
    Product(name="Google", issuer=r"^https://accounts\.google\.com/?$", usual=UsualType(None), binds=False),
    Product(
        name="Spring Authorization Server",
        issuer=_NOTHING,
        metadata=("device_authorization_endpoint", r"/oauth2/device_authorization$"),
        usual=USUAL_TYPES["Spring Authorization Server"],
    ),
    Product(
        name="Duende IdentityServer or OpenIddict",
        issuer=_NOTHING,
        metadata=("token_endpoint", r"/connect/token$"),
        usual=UsualType("at+jwt"),
    ),
)


def recognise(issuer: str, metadata: Mapping[str, Any]) -> Product | None:
    """The product that an issuer runs, by its name and its metadata."""
    for product in _PRODUCTS:
        member, pattern = product.metadata
        if re.search(product.issuer, issuer) or re.search(pattern, str(metadata.get(member, ""))):
            return product
    return None
