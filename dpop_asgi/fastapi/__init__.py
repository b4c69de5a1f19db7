"""For FastAPI: `Security(DPoP(), scopes=[...])` on routes, in OpenAPI, and in the tests of an app."""

from dpop_asgi.asgi.exception_handlers import rejection_handler

try:
    from dpop_asgi.fastapi.routes import scopes_of, unprotected_routes
    from dpop_asgi.fastapi.security import DPoP, DPoPCaller, authenticate
    from dpop_asgi.fastapi.signing_docs import docs_page
except ImportError as _error:
    _ADVICE = "dpop_asgi.fastapi needs the 'fastapi' extra: pip install 'dpop-asgi[fastapi]'"
    raise ImportError(_ADVICE) from _error

__all__ = ["DPoP", "DPoPCaller", "authenticate", "docs_page", "rejection_handler", "scopes_of", "unprotected_routes"]
