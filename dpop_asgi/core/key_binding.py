"""What an authorization server binds to the client's key, and compares it with (RFC 9449 §5, §10)."""

import re
from hmac import compare_digest

from dpop_asgi.errors import InvalidGrant, InvalidRequest, Reason

# Base64url SHA-256. The last of its 43 characters has two bits that mean nothing, and must be zero.
THUMBPRINT: re.Pattern[str] = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def requested_key(dpop_jkt: str | None, key_thumbprint: str | None = None) -> str | None:
    """The key that an authorization request asks to bind its code to (RFC 9449 §10, §10.1).

    Store it with the code, and pass it to `check_grant_key` when the code is redeemed.

    Args:
        dpop_jkt: the parameter of that name, of an authorization request or a pushed one; `None` without it.
        key_thumbprint: of the key that a pushed request proved to hold, from `dpop_from`; `None` without a proof.

    Returns:
        The thumbprint, or `None` if the code may be redeemed with any key.

    Raises:
        InvalidRequest: If `dpop_jkt` isn't a thumbprint, or isn't that of the proof's key.
    """
    if dpop_jkt is None:
        return key_thumbprint
    if not THUMBPRINT.fullmatch(dpop_jkt):
        raise InvalidRequest(Reason.DPOP_JKT_MALFORMED)
    if key_thumbprint is not None and not compare_digest(dpop_jkt, key_thumbprint):
        raise InvalidRequest(Reason.DPOP_JKT_MISMATCH)
    return dpop_jkt


def check_grant_key(bound_to: str | None, key_thumbprint: str | None) -> None:
    """Check that an authorization code (RFC 9449 §10) or a public client's refresh token (§5) comes with its key.

    Args:
        bound_to: the thumbprint that was stored with the code or token; `None` if it isn't bound.
        key_thumbprint: of the key that the token request proved to hold, from `dpop_from`; `None` without a proof.

    Raises:
        InvalidGrant: If it is bound, and this isn't its key.
    """
    if bound_to is not None and (key_thumbprint is None or not compare_digest(bound_to, key_thumbprint)):
        raise InvalidGrant(Reason.GRANT_KEY_MISMATCH)
