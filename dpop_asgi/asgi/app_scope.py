"""The scope that is passed to the app: a copy that includes the caller."""

from collections.abc import MutableMapping
from typing import Any

from starlette.authentication import AuthCredentials

from dpop_asgi.asgi.gate import CALLER_KEY, GATE_KEY, Gate
from dpop_asgi.asgi.interface import Headers, Scope
from dpop_asgi.core.caller import Caller


def scope_for_caller(scope: Scope, caller: Caller, gate: Gate, *, as_bearer: bool) -> Scope:
    """The scope for the app. `user`, `auth` and `state` are set in the outer scope, too, for middleware outside.

    `state` is replaced, never modified: some servers pass the same object to all requests on a connection.
    """
    scope["user"] = caller
    scope["auth"] = AuthCredentials(sorted(caller.scopes))
    state: Any = scope.get("state", {})
    if type(state) is dict or isinstance(state, MutableMapping):
        scope["state"] = {**state, "dpop": caller}
    # A copy, so that changes to it don't change the request that was authenticated.
    headers = presented_as_bearer(scope["headers"]) if as_bearer else list(scope["headers"])
    return {**scope, "headers": headers, CALLER_KEY: caller, GATE_KEY: gate}


def scope_passed_through(scope: Scope, *, as_bearer: bool) -> Scope:
    """The scope for the app if an outer instance has already prepared it."""
    return {**scope, "headers": presented_as_bearer(scope["headers"])} if as_bearer else scope


def scope_for_anyone(scope: Scope, gate: Gate) -> Scope:
    """The scope for the app if nothing was asked yet. `state` is a copy: the gate may show a caller in it."""
    forget_caller(scope)
    inside = {**scope, "headers": list(scope["headers"]), GATE_KEY: gate}
    state: Any = scope.get("state", {})
    if type(state) is dict or isinstance(state, MutableMapping):
        gate.state = inside["state"] = {**state}
    gate.inside = inside
    return inside


def forget_caller(scope: Scope) -> None:
    """Remove a caller that an earlier request, on the same connection or with the same scope, left in `scope`."""
    scope.pop(CALLER_KEY, None)
    if isinstance(scope.get("user"), Caller):
        del scope["user"]
        scope.pop("auth", None)
    state: Any = scope.get("state")
    if isinstance(state, MutableMapping) and isinstance(state.get("dpop"), Caller):
        scope["state"] = {name: value for name, value in state.items() if name != "dpop"}


def presented_as_bearer(headers: Headers) -> Headers:
    """The headers with the access token under the Bearer scheme, for code that supports no other."""
    return [
        (name, b"Bearer " + value.rpartition(b" ")[2] if name == b"authorization" else value) for name, value in headers
    ]
