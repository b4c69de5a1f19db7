"""The scope that the app inside gets: a copy with the caller in it."""

from collections.abc import MutableMapping
from typing import Any

from starlette.authentication import AuthCredentials

from dpop_asgi.asgi.responses import RESPONDER_KEY, Headers, Responder, Scope
from dpop_asgi.core.caller import Caller

CALLER_KEY = "dpop_asgi.caller"


def scope_for_caller(scope: Scope, caller: Caller, responder: Responder, *, as_bearer: bool) -> Scope:
    """The scope for the app. Layers outside find `user`, `auth` and `state` in theirs too, but nothing to vouch for.

    `state` is replaced and never written to: some servers pass the same object to all requests of one connection.
    """
    scope["user"] = caller
    scope["auth"] = AuthCredentials(sorted(caller.scopes))
    state: Any = scope.get("state", {})
    if type(state) is dict or isinstance(state, MutableMapping):
        scope["state"] = {**state, "dpop": caller}
    # A list of its own: what is changed in it does not change what was judged.
    headers = presented_as_bearer(scope["headers"]) if as_bearer else list(scope["headers"])
    return {**scope, "headers": headers, CALLER_KEY: caller, RESPONDER_KEY: responder}


def scope_handed_through(scope: Scope, *, as_bearer: bool) -> Scope:
    """The scope for the app where another instance outside has made it already."""
    return {**scope, "headers": presented_as_bearer(scope["headers"])} if as_bearer else scope


def scope_for_anyone(scope: Scope, responder: Responder) -> Scope:
    """The scope for the app on an open path."""
    forget_caller(scope)
    return {**scope, RESPONDER_KEY: responder}


def forget_caller(scope: Scope) -> None:
    """Drop a caller that an earlier request has left in `scope`: of the same connection, or in the same scope."""
    scope.pop(CALLER_KEY, None)
    if isinstance(scope.get("user"), Caller):
        del scope["user"]
        scope.pop("auth", None)
    state: Any = scope.get("state")
    if isinstance(state, MutableMapping) and isinstance(state.get("dpop"), Caller):
        scope["state"] = {name: value for name, value in state.items() if name != "dpop"}


def presented_as_bearer(headers: Headers) -> Headers:
    """The headers with the access token under the Bearer scheme, for code that knows no other."""
    return [
        (name, b"Bearer " + value.rpartition(b" ")[2] if name == b"authorization" else value) for name, value in headers
    ]
