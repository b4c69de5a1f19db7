"""Tools for testing protected APIs: without network, without Redis, in a moment.

with OfflineAPI(app) as api:
    http = api.client("orders:read")
    assert http.get("/orders").status_code == 200

The same as fixtures for pytest: `dpop_asgi.testing.pytest`. `Client` and `Issuer` also make what is invalid.
"""

from dpop_asgi.client.proofs import jwt
from dpop_asgi.testing.client import Client
from dpop_asgi.testing.clock import ManualClock
from dpop_asgi.testing.issuer import Issuer
from dpop_asgi.testing.offline_api import OfflineAPI
from dpop_asgi.testing.signing_client import AsyncSigningClient, SigningClient
from dpop_asgi.testing.without_proofs import WithoutProofs, make_caller

__all__ = [
    "AsyncSigningClient",
    "Client",
    "Issuer",
    "ManualClock",
    "OfflineAPI",
    "SigningClient",
    "WithoutProofs",
    "jwt",
    "make_caller",
]
