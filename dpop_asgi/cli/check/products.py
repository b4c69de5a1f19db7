"""Issuers that can be recognised, and what their access tokens are like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Matches nothing.
_NOTHING = "(?!)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What an issuer's access tokens are like unless somebody has changed it.

    Attributes:
        name: of the product.
        issuer: matches its issuer identifiers.
        metadata: or else a member of its metadata, and what that matches: issuers may have domains of their own.
        typ: `typ` of its tokens; `none` if they have none.
        switch: how to have `at+jwt` instead; empty if there is no way.
        binds: whether it can issue tokens that are bound by DPoP.
        instead: what to do if its tokens can't be used at all.
    """

    name: str
    issuer: str
    metadata: tuple[str, str] = ("", _NOTHING)
    typ: str
    switch: str = ""
    binds: bool = True
    instead: str = "Use an issuer that binds access tokens to keys (RFC 9449 §5)."


# The first match counts.
_PRODUCTS = (
    Product(
        name="Keycloak",
        issuer=r"/realms/[^/]+/?$",
        typ="JWT",
        switch='Switch on "Use at+jwt as access token header type" for the client in Keycloak (26.2 or newer)',
    ),
    Product(
        name="Auth0",
        issuer=r"^https://[^/]+\.auth0\.com(?:/|$)",
        metadata=("mfa_challenge_endpoint", r"/mfa/challenge$"),
        typ="JWT",
        switch="Choose the token profile RFC 9068 for the API in Auth0",
    ),
    Product(
        name="Okta's organization server",
        issuer=r"^https://[^/]+\.(?:okta|oktapreview|okta-emea)\.com/?$",
        metadata=("jwks_uri", r"/oauth2/v1/keys$"),
        typ="application/okta-internal-at+jwt",
        binds=False,
        instead="Use a custom authorization server of Okta, such as /oauth2/default: these tokens are for Okta only.",
    ),
    Product(
        name="Okta",
        issuer=r"^https://[^/]+\.(?:okta|oktapreview|okta-emea)\.com/oauth2/",
        metadata=("jwks_uri", r"/oauth2/[^/]+/v1/keys$"),
        typ="none",
    ),
    Product(
        name="Microsoft Entra ID",
        issuer=r"^https://(?:login\.microsoftonline\.(?:com|us)|sts\.windows\.net|[^/]+\.ciamlogin\.com)/",
        typ="JWT",
        binds=False,
    ),
    Product(name="Amazon Cognito", issuer=r"^https://cognito-idp\.[^/]+\.amazonaws\.com/", typ="none", binds=False),
    Product(name="Google", issuer=r"^https://accounts\.google\.com/?$", typ="none", binds=False),
    Product(
        name="Spring Authorization Server",
        issuer=_NOTHING,
        metadata=("device_authorization_endpoint", r"/oauth2/device_authorization$"),
        typ="none",
        switch='Set the header type to "at+jwt" in an OAuth2TokenCustomizer of Spring Authorization Server',
    ),
    Product(
        name="Duende IdentityServer or OpenIddict",
        issuer=_NOTHING,
        metadata=("token_endpoint", r"/connect/token$"),
        typ="at+jwt",
    ),
)


def recognise(issuer: str, metadata: Mapping[str, Any]) -> Product | None:
    """The product that an issuer runs, by its name and its metadata."""
    for product in _PRODUCTS:
        member, pattern = product.metadata
        if re.search(product.issuer, issuer) or re.search(pattern, str(metadata.get(member, ""))):
            return product
    return None
