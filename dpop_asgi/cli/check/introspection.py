"""Whether opaque tokens can be introspected (RFC 7662), tried with one that was never issued."""

import secrets
from collections.abc import Mapping

from dpop_asgi.cli.check.configuration import value_of
from dpop_asgi.cli.check.finding import Finding, error, ok
from dpop_asgi.cli.check.text import sentence
from dpop_asgi.core.ports import TokenVerifier
from dpop_asgi.errors import InvalidToken, IssuerUnavailable, Reason

_VARIABLES = ("DPOP_INTROSPECTION_CLIENT_ID", "DPOP_INTROSPECTION_CLIENT_SECRET", "DPOP_INTROSPECTION_ENDPOINT")

_ANOTHER_ENDPOINT = "Correct DPOP_INTROSPECTION_ENDPOINT: this isn't an introspection endpoint as in RFC 7662."

# Part of the verifier's message, the name of the finding, and what to change. The first match counts.
_FAULTS = (
    (
        "wrong client_id",
        "introspection_credentials",
        "Correct DPOP_INTROSPECTION_CLIENT_ID and DPOP_INTROSPECTION_CLIENT_SECRET.",
    ),
    ("may not introspect", "introspection_not_allowed", "Allow this client to introspect tokens at the issuer."),
    (
        "no introspection_endpoint",
        "introspection_endpoint_unknown",
        "Set DPOP_INTROSPECTION_ENDPOINT: the issuer's metadata doesn't name it.",
    ),
    ("", "introspection_unavailable", "Check DPOP_INTROSPECTION_ENDPOINT, and that this host can reach the endpoint."),
)


async def introspection_findings(environment: Mapping[str, str], verify_token: TokenVerifier) -> list[Finding]:
    """What the endpoint says about a random token, if introspection is configured: it must not be active."""
    if not any(value_of(environment, name) for name in _VARIABLES):
        return []
    try:
        await verify_token(secrets.token_urlsafe(32))
    except InvalidToken as rejection:
        if rejection.reason is Reason.TOKEN_INACTIVE:
            return [_inactive(is_said="active" not in rejection.facts)]
    except IssuerUnavailable as failure:
        return [_fault(str(failure))]
    what = "The endpoint says of an invented token that it is active, so anyone could be let in."
    return [error("introspection", "introspection_accepts_anything", what, change=_ANOTHER_ENDPOINT)]


def _inactive(*, is_said: bool) -> Finding:
    if is_said:
        what = "The endpoint accepts the credentials, and says of an invented token that it isn't active."
        return ok("introspection", "introspection_works", what)
    what = 'The endpoint doesn\'t respond with an "active" that is true or false, so all opaque tokens are rejected.'
    return error("introspection", "introspection_without_active", what, change=_ANOTHER_ENDPOINT)


def _fault(message: str) -> Finding:
    name, change = next((name, change) for part, name, change in _FAULTS if part in message)
    return error("introspection", name, sentence(message), change=change)
