"""The HTTP response to a rejection: status, headers and body (RFC 9449 §7.1, RFC 6750 §3, RFC 9110 §11.6.1)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from dpop_asgi.core.policy import Mode, Scheme
from dpop_asgi.errors import (
    InsufficientAuthentication,
    InsufficientScope,
    InvalidGrant,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    MissingCredentials,
    Refusal,
    UseNonce,
)

BAD_REQUEST, UNAUTHORIZED = 400, 401
_STATUS: dict[type, int] = {
    **dict.fromkeys((MissingCredentials, InvalidToken, InvalidProof, UseNonce), UNAUTHORIZED),
    InsufficientAuthentication: UNAUTHORIZED,
    **dict.fromkeys((InvalidRequest, InvalidGrant), BAD_REQUEST),
    InsufficientScope: 403,
}

# What every challenge of a resource has besides, such as `resource_metadata` (RFC 9728 §5.1): names and values.
Parameters = tuple[tuple[str, str], ...]

# Rejections whose response depends on nothing but reason, scheme, nonce and resource: it is rendered once for each.
_SAME_FOR_ALL = frozenset({MissingCredentials, InvalidRequest, InvalidToken, InvalidProof, UseNonce})
# There are about fifty reasons, and a nonce lives for a minute: more entries than this are outdated.
_MOST_RENDERED = 256


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A whole HTTP response: status, headers with lower-case names, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenger:
    """Renders every rejection of one resource server.

    Attributes:
        algorithms: for `algs`.
        mode: `mixed` offers Bearer too.
        realm: protection space; a Bearer challenge needs at least one parameter (RFC 6750 §3).

    Raises:
        ValueError: If `realm` could end its own quotes; the message names it.
    """

    algorithms: Sequence[str]
    mode: Mode = "required"
    realm: str = "api"
    _rendered: dict[tuple[object, ...], ErrorResponse] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Reject a value that could end its own quotes."""
        realm: object = self.realm
        if not isinstance(realm, str) or not _fits_in_quotes(realm):
            msg = f"realm: {self.realm!r} is not printable ASCII without quotes and backslashes"
            raise ValueError(msg)

    def response_to(
        self, refusal: Refusal, *, scheme: Scheme = "DPoP", nonce: str | None, parameters: Parameters = ()
    ) -> ErrorResponse:
        """The response to a rejected request.

        Args:
            refusal: why.
            scheme: under which the access token was sent.
            nonce: the value for `DPoP-Nonce`, `None` while nonces are off.
            parameters: of the resource. They can't end their own quotes.
        """
        kind = (type(refusal), refusal.reason, scheme, nonce, parameters)
        response = self._rendered.get(kind)
        if response is None:
            response = self._render(refusal, scheme, nonce, dict(parameters))
            if type(refusal) in _SAME_FOR_ALL:
                if len(self._rendered) >= _MOST_RENDERED:
                    self._rendered.clear()
                self._rendered[kind] = response
        return response

    def _render(self, refusal: Refusal, scheme: Scheme, nonce: str | None, parameters: dict[str, str]) -> ErrorResponse:
        status = status_of(refusal)
        challenges = self._challenges(refusal, scheme, parameters)
        headers = [(b"www-authenticate", line.encode("ascii")) for line in challenges]
        if nonce is not None and status == UNAUTHORIZED:
            headers.insert(0, (b"dpop-nonce", nonce.encode("ascii")))
        return _response(status, _body(refusal), headers)

    def _challenges(self, refusal: Refusal, scheme: Scheme, parameters: dict[str, str]) -> list[str]:
        """The scheme that was used comes first; without credentials, DPoP. A nonce challenge is the only one."""
        error = _error(refusal)
        # The scopes that a rejection names are what the request needs; others would be said twice.
        parameters = {name: value for name, value in parameters.items() if name not in error}
        dpop = {"algs": " ".join(self.algorithms), **parameters}
        bearer = {"realm": self.realm, **parameters}
        if self.mode == "required":
            return [_challenge("DPoP", {**error, **dpop})]
        if isinstance(refusal, InvalidRequest):
            return [_challenge("DPoP", {**error, **dpop}), _challenge("Bearer", {**error, **bearer})]
        if isinstance(refusal, MissingCredentials):
            return [_challenge("DPoP", dpop), _challenge("Bearer", bearer)]
        if scheme == "Bearer":
            return [_challenge("Bearer", {**error, **bearer}), _challenge("DPoP", dpop)]
        return [_challenge("DPoP", {**error, **dpop})]


def status_of(refusal: Refusal) -> int:
    """The HTTP status of the response."""
    for kind in type(refusal).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return UNAUTHORIZED


def token_error(refusal: Refusal, *, nonce: str | None) -> ErrorResponse:
    """The response of a token or PAR endpoint (RFC 6749 §5.2, RFC 9449 §5, §8): no challenge, and 400 for every error.

    Args:
        refusal: why.
        nonce: the value for `DPoP-Nonce`, `None` while nonces are off.
    """
    content = {"error": refusal.code or "invalid_request", "error_description": refusal.description}
    return _response(BAD_REQUEST, content, [] if nonce is None else [(b"dpop-nonce", nonce.encode("ascii"))])


def unavailable() -> ErrorResponse:
    """The response while store or issuer are unavailable: no challenge, since new credentials would not help."""
    body = {"error": "temporarily_unavailable", "error_description": "Please try again shortly"}
    return _response(503, body, [(b"retry-after", b"1")])


def _error(refusal: Refusal) -> dict[str, str]:
    if refusal.code is None:
        return {}
    return {"error": refusal.code, "error_description": refusal.description, **refusal.parameters}


def _body(refusal: Refusal) -> dict[str, str]:
    return _error(refusal) or {"error_description": refusal.description}


def _challenge(scheme: str, parameters: dict[str, str]) -> str:
    """`error` first and every value quoted: some clients split at commas or stop at an unquoted value."""
    return scheme + " " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


def _fits_in_quotes(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and not set(value) & {'"', "\\"}


def _response(status: int, content: dict[str, str], headers: list[tuple[bytes, bytes]]) -> ErrorResponse:
    body = json.dumps(content).encode("ascii")
    common = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    return ErrorResponse(status, (*headers, *common), body)
