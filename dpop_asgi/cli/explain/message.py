"""A request as someone pasted it: what is known about it, and what isn't."""

from dataclasses import dataclass, field

from dpop_asgi.cli.unusable import Unusable
from dpop_asgi.errors import Reason

_REJECTED = frozenset({400, 401, 403})
# Beginning of a value that must not be usable, nor guessable from what is shown.
_SHOWN = 8


def shortened(value: str) -> str:
    """The beginning of a secret: enough to recognise it, too little to use it."""
    return f"{value[:_SHOWN]}…" if len(value) > 2 * _SHOWN else f"{value[: len(value) // 2]}…"


def encoded(value: str) -> bytes:
    """The value of a header. In a HAR file, escapes may stand for what no Unicode text has."""
    return value.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """The response to the request, if it was pasted too.

    Attributes:
        status: its status code.
        error: the OAuth error code of its challenge.
        description: the `error_description`.
        nonce: its `DPoP-Nonce`.
        date: its `Date`, seconds since the epoch.
    """

    status: int
    error: str | None = None
    description: str | None = None
    nonce: str | None = field(default=None, repr=False)
    date: float | None = None

    @property
    def reason(self) -> Reason | None:
        """The check that failed, if the sentence says so: nonces share one on purpose."""
        reasons = [reason for reason in Reason if reason.description == self.description]
        return reasons[0] if len(reasons) == 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A request. What is `None` isn't known.

    Attributes:
        source: what it was read from, in a few words.
        method: the method.
        url: the absolute URL that was called.
        is_scheme_assumed: whether `url` begins with `https` only because nothing says otherwise.
        websocket: whether it is a WebSocket handshake.
        authorizations: the `Authorization` headers.
        proofs: the `DPoP` headers.
        sent_at: when it was sent, seconds since the epoch.
        response: its response.
    """

    source: str
    method: str | None = None
    url: str | None = field(default=None, repr=False)
    is_scheme_assumed: bool = False
    websocket: bool = False
    authorizations: tuple[str, ...] | None = field(default=None, repr=False)
    proofs: tuple[str, ...] | None = field(default=(), repr=False)
    sent_at: float | None = None
    response: Response | None = None

    @property
    def is_rejected(self) -> bool:
        """Whether the server rejected it."""
        return self.response is not None and self.response.status in _REJECTED

    @property
    def has_credentials(self) -> bool:
        """Whether it has a token or a proof."""
        return bool(self.authorizations or self.proofs)


def worth_explaining(messages: list[Message]) -> Message:
    """Of several requests the last one that was rejected; otherwise the last one with a proof, or a token.

    Raises:
        Unusable: If there is none.
    """
    if not messages:
        raise Unusable("There is no request in the input.")
    by_interest = [
        [each for each in messages if each.is_rejected and each.has_credentials],
        [each for each in messages if each.proofs],
        [each for each in messages if each.has_credentials],
        messages,
    ]
    return next(group[-1] for group in by_interest if group)
