"""Causes in the headers of the request."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.errors import Reason

_SEND = "Send `Authorization: DPoP <token>`."


def _only_a_proof(case: Case, _check: Check) -> Advice | None:
    if not case.message.proofs:
        return None
    return Advice("There is a proof, but no token: the Authorization header was not sent, or was removed.", _SEND)


def _token_without_scheme(case: Case, _check: Check) -> Advice | None:
    value = (case.message.authorizations or ("",))[0]
    if " " in value or not value:
        return None
    return Advice("Authorization is a single word: a token without a scheme, or a scheme without a token.", _SEND)


def _quoted(case: Case, _check: Check) -> Advice | None:
    value = (case.message.authorizations or ("",))[0]
    if not any(mark in value for mark in "\"'<>"):
        return None
    return Advice("There are quotation marks or brackets around the token.", "Send the token alone, without them.")


def _bearer_with_proof(case: Case, _check: Check) -> Advice | None:
    if not case.message.proofs:
        return None
    return Advice(
        "The client makes proofs, but sends the token under Bearer: its HTTP layer adds Authorization by itself.", _SEND
    )


CAUSES: Causes = {
    Reason.AUTHORIZATION_MISSING: (
        _only_a_proof,
        always("There is no Authorization header: not sent, or removed by a proxy or a redirect.", _SEND),
    ),
    Reason.AUTHORIZATION_REPEATED: (
        always("There are two Authorization headers: a proxy or an HTTP library added its own.", "Send exactly one."),
    ),
    Reason.AUTHORIZATION_TOO_LARGE: (
        always("The access token is too large.", "Have the issuer put less into it, such as fewer roles or groups."),
    ),
    Reason.AUTHORIZATION_SCHEME: (
        _token_without_scheme,
        always("The token was sent under another scheme than DPoP.", _SEND),
    ),
    Reason.AUTHORIZATION_MALFORMED: (
        _quoted,
        _token_without_scheme,
        always("Authorization is more than a scheme and one token: a comma, a line break, or a second token.", _SEND),
    ),
    Reason.BEARER_NOT_ACCEPTED: (
        _bearer_with_proof,
        always(
            "The token was sent under Bearer, and without a proof: the client doesn't use DPoP.",
            'Send it under DPoP with a proof. While you migrate clients, the server can set mode="mixed".',
        ),
    ),
    Reason.PROOF_MISSING: (
        always(
            "There is no DPoP header: the client makes no proofs, or a proxy drops headers that it doesn't know.",
            "Send one proof per request in `DPoP`; let proxies pass the header on.",
        ),
    ),
    Reason.PROOF_REPEATED: (
        always(
            "More than one proof was sent: a retry added a second DPoP header instead of replacing the first, or a "
            "proxy joined several with a comma.",
            "Send exactly one. In a retry, replace the header.",
        ),
    ),
    Reason.TARGET_MALFORMED: (
        always(
            "The URL of the request isn't valid, or has dot segments (/a/../b), which routers read differently.",
            "Call the URL in its resolved form.",
        ),
    ),
    Reason.HOST_MALFORMED: (
        always(
            "The server got no Host, or a malformed one: look at the proxy.",
            "Set public_url, which needs no Host.",
        ),
    ),
    Reason.HOST_NOT_ALLOWED: (
        always(
            "The server got a Host that it doesn't serve: the proxy sends another, or nothing is configured.",
            "Set public_url to the URL that clients use, or add the host to allowed_hosts.",
        ),
    ),
    Reason.FORWARDED_MALFORMED: (
        always(
            "X-Forwarded-* or Forwarded can't be read in one way: the proxy adds to what the client sent.",
            "Have the proxy replace these headers, or set public_url.",
        ),
    ),
    Reason.SCOPE_INSUFFICIENT: (
        always("The route needs a scope that the token doesn't have.", "Request a token with that scope."),
    ),
}
