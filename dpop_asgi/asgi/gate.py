"""What a route asks: who is calling, and is that enough?

There is one gate for each request. It is in the scope under `GATE_KEY`, by reference, so copies of the scope share it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.authentication import AuthCredentials

from dpop_asgi.asgi.interface import Scope
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import status_of
from dpop_asgi.core.credentials import IncomingRequest, has_credentials, read_credentials
from dpop_asgi.errors import DPoPError, Refusal

GATE_KEY = "dpop_asgi.gate"
CALLER_KEY = "dpop_asgi.caller"
# On apps and endpoints that ask before they run: what they need.
NEEDED = "__dpop_asgi_needed__"

# Functions that ask for what the matched route needs, before its body is read. A framework that reads bodies before it
# runs dependencies adds one. They get the scope of the app.
readers: list[Callable[[Scope], Awaitable[None]]] = []

_UNAVAILABLE = 503
_NO_GATE = (
    "there is no DPoPMiddleware around this app:"
    ' add app.add_middleware(DPoPMiddleware, authenticator=..., public_url=..., protect="routes")'
)
_NO_CALLER = "no caller: this path is public, no route has asked, or there is no DPoPMiddleware around this app"


class Gate:  # no ABC: `isinstance` takes longer then
    """Asks the authenticator at most once per request for the caller, and after that only whether the token is enough.

    Args:
        request: the request as it was received; layers inside may show the app another one.
        authenticator: decides.

    Attributes:
        authenticator: see above.
        request: see above.
        caller: the caller, once the request is accepted.
        error: why the last ask was rejected. While it is set, it decides the response, whatever the app makes of it.
        needed: what was needed when it was rejected.
        offers_nonce: whether the response has a nonce although no caller is known.
        inside: the scope of the app, if the request was passed to it before it was accepted.
        state: the app's own copy of the request's state, in that scope.
        when_accepted: called once the caller is known, if a route asks.
    """

    caller: Caller | None = None
    error: DPoPError | None = None
    needed: Requirement | None = None
    inside: Scope | None = None
    offers_nonce: bool = False
    state: MutableMapping[str, Any] | None = None
    when_accepted: Callable[[], None] | None = None
    _lock: asyncio.Lock | None = None
    _rejected: asyncio.Task[Any] | None = None

    def __init__(self, request: IncomingRequest, authenticator: Authenticator) -> None:
        self.request = request
        self.authenticator = authenticator

    @property
    def started(self) -> bool:
        """Whether a response has started, apart from early hints."""
        raise NotImplementedError

    async def ask(self, needed: Requirement, *, optional: bool = False) -> Caller | None:
        """Who is calling? Several may ask, one after another or at once: the proof is used once.

        Args:
            needed: what the caller needs besides a valid token.
            optional: whether `None` is returned if no usable credentials were sent.

        Raises:
            DPoPError: If the request is rejected. The rejection decides the response, unless a later ask of the same
                task is successful.
        """
        try:
            caller = self.caller
            if caller is None:
                caller = await self._first(needed, optional=optional)
            else:
                self.authenticator.authorize(caller, needed)
        except DPoPError as error:
            self.error, self.needed, self._rejected = error, needed, asyncio.current_task()
            raise
        # Of several that ask at once, the strictest decides.
        if caller is not None and self.error is not None and self._rejected is asyncio.current_task():
            self.error = None
        return caller

    async def _first(self, needed: Requirement, *, optional: bool) -> Caller | None:
        if optional and not has_credentials(self.request.headers):
            return None
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self.caller is None:
                self.caller = await self.authenticator.authenticate(self.request, needed)
                if self.when_accepted is not None:
                    self.when_accepted()
                return self.caller
        self.authenticator.authorize(self.caller, needed)
        return self.caller

    async def ask_readers(self) -> None:
        """Before the body is read: ask for what the route needs, if that is known."""
        if self.caller is None and self.error is None and self.inside is not None and not self.started:
            for read in readers:
                await read(self.inside)


async def ask(
    scope: Scope, needed: Requirement, *, kind: Callable[[int, str], Exception], optional: bool = False
) -> Caller | None:
    """Ask the gate of this request. The rejection travels as an exception of the framework.

    Args:
        scope: of the connection.
        needed: what the caller needs besides a valid token.
        kind: the framework's exception for a status and a detail.
        optional: whether `None` is returned if no usable credentials were sent.

    Raises:
        Exception: If the request is rejected: of this `kind`, and caused by the `DPoPError`.
        RuntimeError: If there is no `DPoPMiddleware` around the app.
    """
    gate = scope.get(GATE_KEY)
    if not isinstance(gate, Gate):
        raise RuntimeError(_NO_GATE)
    try:
        caller = await gate.ask(needed, optional=optional)
    except Refusal as refusal:
        raise kind(status_of(refusal), refusal.description) from _bare(refusal)
    except DPoPError as error:
        raise kind(_UNAVAILABLE, "Please try again shortly") from _bare(error)
    if caller is not None and scope.get(CALLER_KEY) is not caller:
        _show(scope, caller, gate.state)
    return caller


def _bare(rejection: DPoPError) -> DPoPError:
    """Without its traceback, which refers to the gate: a rejection would otherwise wait for the garbage collector."""
    return rejection.with_traceback(None)


def _show(scope: Scope, caller: Caller, own_state: MutableMapping[str, Any] | None) -> None:
    """Show the caller to the app. Its state is written to only if it is our own copy: servers share theirs."""
    scope[CALLER_KEY] = caller
    show_user(scope, caller)
    if own_state is not None:
        own_state["dpop"] = caller
    state = scope.get("state")
    if state is not own_state and isinstance(state, MutableMapping):
        scope["state"] = {**state, "dpop": caller}


def show_user(scope: Scope, caller: Caller) -> None:
    """`request.user` and `request.auth`, as Starlette's own authentication sets them."""
    scope["user"] = caller
    scope["auth"] = AuthCredentials(sorted(caller.scopes))


def is_own(error: BaseException, rejection: DPoPError | None) -> bool:
    """Whether an error that the app raised is nothing but the rejection of an ask."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_own(part, rejection) for part in error.exceptions)
    return rejection is not None and (error is rejection or error.__cause__ is rejection)


def caller_in(scope: Scope) -> Caller:
    """The caller whom the app was shown, or whom a route has asked for.

    Raises:
        LookupError: If there is none.
    """
    caller = scope.get(CALLER_KEY)
    if isinstance(caller, Caller):
        return caller
    gate = scope.get(GATE_KEY)
    if isinstance(gate, Gate) and gate.caller is not None:
        return gate.caller
    raise LookupError(_NO_CALLER)


def token_in(scope: Scope) -> str:
    """The access token of the request that was accepted, as sent.

    Raises:
        LookupError: If none was.
    """
    caller_in(scope)
    gate = scope.get(GATE_KEY)
    if not isinstance(gate, Gate):
        raise LookupError(_NO_CALLER)
    return read_credentials(gate.request.headers).token
