"""Fetches access tokens that are bound to a key (RFC 9449 §5), by client credentials (RFC 6749 §4.4)."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote_plus

import httpx2

from dpop_asgi.core.htu import is_loopback, normalise
from dpop_asgi.core.options import require
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import DPoPError

_OK = 200
# RFC 6749 §5.2; the codes that are registered have at most 30 characters.
_ERROR = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]{1,64}")
# RFC 9110 §11.2. Servers accept headers of some kilobytes.
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]{1,16384}=*")
# A token response has a handful of members; some authorization servers add a few of their own.
_LONGEST_RESPONSE = 65536
_MOST_VALUES = 256
# A token is renewed when this part of its life is left, but at most this many seconds before its end.
_RENEWED_BEFORE, _MOST_SECONDS_BEFORE = 0.1, 60.0
_FOREVER = float("inf")


class TokenError(DPoPError):
    """No access token was issued.

    Attributes:
        error: the code of the token endpoint (RFC 6749 §5.2), such as `invalid_client`; `None` if it sent none.
        status: the HTTP status of its response; `None` if there is none.
    """

    def __init__(self, message: str, *, error: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.error: str | None = error
        self.status: int | None = status


def is_token(value: object) -> bool:
    """Whether a value can be sent as an access token."""
    return isinstance(value, str) and _TOKEN68.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Where and how to fetch an access token for the client itself.

    The client authenticates by HTTP Basic (`client_secret_basic`).

    Args:
        token_url: the token endpoint; https, except on this machine.
        client_id: the client's identifier.
        client_secret: its secret. It is not in the `repr`.
        scope: scopes with spaces between; by default the server decides.
        resource: the API, or several, that the token is for (RFC 8707).

    Raises:
        ValueError: If an option is invalid. The message names the option.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    resource: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        scheme, _, host = (normalise(self.token_url) or "").partition("://")
        host = host.partition("/")[0]
        safe = scheme == "https" or (scheme == "http" and is_loopback(re.sub(r":\d+\Z", "", host)))
        require("token_url", safe and "#" not in self.token_url, "an https URL, without userinfo and fragment")
        require("client_id", self.client_id, "the client's identifier")
        require("client_secret", self.client_secret, "the client's secret")
        require("scope", self.scope is None or isinstance(self.scope, str), "one text, with spaces between the scopes")

    def request(self, extensions: dict[str, Any]) -> "TokenRequest":
        """A token request without a proof; `extensions` are of httpx2, such as timeouts."""
        form = {"grant_type": "client_credentials", "scope": self.scope, "resource": self.resource}
        # RFC 6749 §2.3.1: both are form-encoded first.
        user = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()
        return TokenRequest(
            "POST",
            self.token_url,
            headers={
                "Authorization": f"Basic {b64encode(user).decode()}",
                "Accept": "application/json",
                # What is compressed is not read.
                "Accept-Encoding": "identity",
            },
            data={name: value for name, value in form.items() if value},
            extensions=extensions,
        )


class TokenRequest(httpx2.Request):
    """A request to a token endpoint: its response is read at once, and its body is looked at."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token, and how long it is used; times are seconds since the epoch."""

    value: str = field(repr=False)
    issued_at: float
    renewed_at: float
    expires_at: float

    @classmethod
    def from_response(cls, response: httpx2.Response, now: float) -> Self:
        """The token in a token response (RFC 6749 §5.1).

        Raises:
            TokenError: If there is none, or one that isn't bound to the key of the proof.
        """
        status, members = response.status_code, _members(response)
        if status != _OK:
            error = members.get("error")
            error = error if isinstance(error, str) and _ERROR.fullmatch(error) else None
            msg = f"the token endpoint responds {status} {error or 'without an error code'}"
            raise TokenError(msg, error=error, status=status)
        kind, value = members.get("token_type"), members.get("access_token")
        if not isinstance(kind, str) or kind.lower() != "dpop":
            msg = "the token endpoint issues tokens that are not bound to the key: token_type is not DPoP"
            raise TokenError(msg, status=status)
        if not isinstance(value, str) or not is_token(value):
            msg = "the token endpoint's response has no usable access_token"
            raise TokenError(msg, status=status)
        life = _lifetime(members.get("expires_in"))
        early = min(life * _RENEWED_BEFORE, _MOST_SECONDS_BEFORE)
        return cls(value, now, now + life - early, now + life)


def _members(response: httpx2.Response) -> dict[str, Any]:
    raw = response.content
    if len(raw) > _LONGEST_RESPONSE:
        return {}
    try:
        return strict_json_object(raw, most_values=_MOST_VALUES)
    except ValueError:
        return {}


def _lifetime(expires_in: object) -> float:
    """In seconds. A server that doesn't say how long a token lives is believed until an API rejects it."""
    is_number = isinstance(expires_in, int | float) and not isinstance(expires_in, bool)
    return max(0.0, float(expires_in)) if is_number else _FOREVER  # type: ignore[arg-type]
