"""Refusal in; HTTP status, headers and body out (RFC 9449 §7.1, RFC 6750 §3, RFC 9110 §11.6.1)."""

import json
from dataclasses import dataclass, field

from dpop_asgi.core.policy import Mode
from dpop_asgi.errors import (
    InsufficientScope,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    MissingCredentials,
    Refusal,
    UseNonce,
)

UNAUTHORIZED = 401
_STATUS: dict[type, int] = {
    **dict.fromkeys((MissingCredentials, InvalidToken, InvalidProof, UseNonce), UNAUTHORIZED),
    InvalidRequest: 400,
    InsufficientScope: 403,
}

# Refusals whose answer depends on nothing but reason, scheme and nonce: it is rendered once for each.
_SAME_FOR_ALL = frozenset({MissingCredentials, InvalidRequest, InvalidToken, InvalidProof, UseNonce})
# Some fifty reasons, and a nonce lives for a minute: more are outdated ones.
_MOST_RENDERED = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer: status, header fields with lower-case names, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenger:
    """Renders every refusal of one resource server.

    Attributes:
        algorithms: for `algs`.
        mode: `mixed` offers Bearer too.
        realm: protection space; a Bearer challenge needs at least one parameter (RFC 6750 §3).

    Raises:
        ValueError: naming `realm`.
    """

    algorithms: tuple[str, ...]
    mode: Mode = "required"
    realm: str = "api"
    _rendered: dict[tuple[object, ...], Answer] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a realm that could end its own quotes."""
        if not self.realm.isascii() or not self.realm.isprintable() or set(self.realm) & {'"', "\\"} or not self.realm:
            msg = f"realm: {self.realm!r} is not printable ASCII without quotes and backslashes"
            raise ValueError(msg)

    def answer(self, refusal: Refusal, *, nonce: str | None) -> Answer:
        """The answer to a refused request.

        Args:
            refusal: why.
            nonce: the value for `DPoP-Nonce`, `None` while nonces are off.
        """
        kind = (type(refusal), refusal.reason, refusal.scheme, nonce)
        answer = self._rendered.get(kind)
        if answer is None:
            answer = self._render(refusal, nonce)
            if type(refusal) in _SAME_FOR_ALL:
                if len(self._rendered) >= _MOST_RENDERED:
                    self._rendered.clear()
                self._rendered[kind] = answer
        return answer

    def _render(self, refusal: Refusal, nonce: str | None) -> Answer:
        status = status_of(refusal)
        headers = [(b"www-authenticate", line.encode("ascii")) for line in self._challenges(refusal)]
        if nonce is not None and status == UNAUTHORIZED:
            headers.insert(0, (b"dpop-nonce", nonce.encode("ascii")))
        return _answer(status, _body(refusal), headers)

    def _challenges(self, refusal: Refusal) -> list[str]:
        """The scheme that was used comes first; without credentials, DPoP. A nonce challenge stands alone."""
        error = _error(refusal)
        dpop = {"algs": " ".join(self.algorithms)}
        bearer = {"realm": self.realm}
        if self.mode == "required":
            return [_challenge("DPoP", {**error, **dpop})]
        if isinstance(refusal, InvalidRequest):
            return [_challenge("DPoP", {**error, **dpop}), _challenge("Bearer", {**error, **bearer})]
        if isinstance(refusal, MissingCredentials):
            return [_challenge("DPoP", dpop), _challenge("Bearer", bearer)]
        if refusal.scheme == "Bearer":
            return [_challenge("Bearer", {**error, **bearer}), _challenge("DPoP", dpop)]
        return [_challenge("DPoP", {**error, **dpop})]


def status_of(refusal: Refusal) -> int:
    """The HTTP status of the answer."""
    for kind in type(refusal).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return UNAUTHORIZED


def unavailable() -> Answer:
    """The answer while store or issuer are away: no challenge, since new credentials would not help."""
    body = {"error": "temporarily_unavailable", "error_description": "Please try again shortly"}
    return _answer(503, body, [(b"retry-after", b"1")])


def _error(refusal: Refusal) -> dict[str, str]:
    if refusal.code is None:
        return {}
    error = {"error": refusal.code, "error_description": refusal.description}
    if isinstance(refusal, InsufficientScope) and refusal.scopes:
        error["scope"] = " ".join(refusal.scopes)
    return error


def _body(refusal: Refusal) -> dict[str, str]:
    return _error(refusal) or {"error_description": refusal.description}


def _challenge(scheme: str, parameters: dict[str, str]) -> str:
    """`error` first and every value quoted: some clients split at commas or stop at an unquoted value."""
    return scheme + " " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


def _answer(status: int, content: dict[str, str], headers: list[tuple[bytes, bytes]]) -> Answer:
    body = json.dumps(content).encode("ascii")
    common = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    return Answer(status, (*headers, *common), body)
