"""Nested instances: a request that the outer one has accepted isn't checked again."""

from dpop_asgi.asgi.app_scope import presented_as_bearer
from dpop_asgi.asgi.gate import GATE_KEY, Gate
from dpop_asgi.asgi.interface import Headers, Scope
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.errors import Refusal


def accepted_outside(scope: Scope, request: IncomingRequest) -> Gate | None:
    """The gate of an outer instance that has accepted a request.

    If it is this request, and nothing in between has changed it, the caller becomes `request.outer_caller`, and the use
    of its proof `request.use`.

    Args:
        scope: the inner instance's scope; middleware in between may have changed it.
        request: the request as the inner instance sees it.
    """
    gate = scope.get(GATE_KEY)
    if not isinstance(gate, Gate) or gate.caller is None:
        return None
    if _is_same(gate.request, request):
        request.outer_caller, request.use = gate.caller, gate.request.use
    return gate


def is_asked_outside(scope: Scope, request: IncomingRequest, authenticator: Authenticator) -> bool:
    """Whether routes can ask an outer instance that has not been asked yet: two gates would use the proof twice."""
    gate = scope.get(GATE_KEY)
    if not isinstance(gate, Gate) or gate.caller is not None or gate.authenticator is not authenticator:
        return False
    try:
        gate.request.resolved_uri()
    except Refusal:
        return False
    return _is_same(gate.request, request)


def _is_same(outer: IncomingRequest, inner: IncomingRequest) -> bool:
    credentials = _credentials(list(outer.headers))
    return (
        (inner.method, inner.websocket) == (outer.method, outer.websocket)
        and _credentials(list(inner.headers)) in (credentials, presented_as_bearer(credentials))
        and _has_same_target(outer, inner)
    )


def _credentials(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name in {b"authorization", b"dpop"}]


def _has_same_target(outer: IncomingRequest, inner: IncomingRequest) -> bool:
    # The target URI is only resolved for DPoP: a Bearer request doesn't depend on it.
    if not isinstance(outer.target_uri, str):
        return True
    try:
        return inner.resolved_uri() == outer.target_uri
    except Refusal:
        return False
