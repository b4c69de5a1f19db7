"""An instance inside another: what the outer one has accepted need not be asked again."""

from dpop_asgi.asgi.app_scope import presented_as_bearer
from dpop_asgi.asgi.responses import RESPONDER_KEY, Headers, Responder, Scope
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.errors import Refusal


def accepted_outside(scope: Scope, request: IncomingRequest | None) -> Responder | None:
    """The responder of the instance outside that has accepted this very request; noted in `request.accepted_before`.

    Args:
        scope: of the instance inside; layers in between may have changed it.
        request: as the instance inside would judge it; `None` when it asks for nothing.
    """
    responder = scope.get(RESPONDER_KEY)
    if not isinstance(responder, Responder) or responder.request is None:
        return None
    if request is not None:
        if not _is_same(responder.request, request):
            return None
        request.accepted_before = responder.caller
    return responder


def _is_same(judged: IncomingRequest, seen: IncomingRequest) -> bool:
    credentials = _credentials(list(judged.headers))
    return (
        (seen.method, seen.websocket) == (judged.method, judged.websocket)
        and _credentials(list(seen.headers)) in (credentials, presented_as_bearer(credentials))
        and _has_same_target(judged, seen)
    )


def _credentials(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name in {b"authorization", b"dpop"}]


def _has_same_target(judged: IncomingRequest, seen: IncomingRequest) -> bool:
    # Under Bearer nobody has asked for the target.
    if not isinstance(judged.target_uri, str):
        return True
    try:
        return seen.resolved_uri() == judged.target_uri
    except Refusal:
        return False
