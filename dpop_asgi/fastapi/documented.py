"""What OpenAPI says about rejections."""

from typing import Any

from pydantic import BaseModel, Field


class RejectedRequest(BaseModel):
    """The body of a response to a request that was rejected."""

    error: str | None = Field(default=None, description="The OAuth error code; absent if no credentials were sent.")
    error_description: str = Field(description="What is wrong, for a developer.")
    scope: str | None = Field(default=None, description="The scopes that are needed, separated by spaces.")
    acr_values: str | None = Field(
        default=None, description="The authentication contexts that are accepted (RFC 9470)."
    )
    max_age: str | None = Field(default=None, description="Seconds that may have passed since the user signed in.")


_CHALLENGE = {
    "description": "How to authenticate, and what was wrong (RFC 9449 §7.1).",
    "schema": {"type": "string"},
}
_NONCE = {"description": "Put this into the next proof (RFC 9449 §8).", "schema": {"type": "string"}}

# With a `model`: generators of clients make a class of their own of each inline schema.
RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {
        "model": RejectedRequest,
        "description": "The access token or the DPoP proof is missing or not valid, or the proof needs a nonce.",
        "headers": {"WWW-Authenticate": _CHALLENGE, "DPoP-Nonce": _NONCE},
    },
    403: {
        "model": RejectedRequest,
        "description": "The access token lacks a scope.",
        "headers": {"WWW-Authenticate": _CHALLENGE},
    },
}
