"""Nested instances: a request that the outer one has accepted isn't checked again."""

from dpop_asgi.asgi.app_scope import presented_as_bearer
from dpop_asgi.asgi.responses import RESPONDER_KEY, Headers, Responder, Scope
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.errors import Refusal


def accepted_outside(scope: Scope, request: IncomingRequest | None) -> Responder | None:
    """The responder of an outer instance that has accepted this request; its caller becomes `request.outer_caller`.

    Args:
        scope: the inner instance's scope; middleware in between may have changed it.
        request: the request as the inner instance sees it; `None` if it needs no credentials there.
    """
    responder = scope.get(RESPONDER_KEY)
    if not isinstance(responder, Responder) or responder.request is None:
        return None
    if request is not None:
        if not _is_same(responder.request, request):
            return None
        request.outer_caller = responder.caller
    return responder


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
