"""The client side of DPoP: keys, proofs, nonces, and tokens that are bound to a key. It depends only on `core`.

key = Key.generate()
credentials = ClientCredentials("https://id.example.com/token", "my-client", "its-secret", scope="orders:read")
with httpx2.Client(auth=DPoPAuth(credentials, key=key)) as http:
    http.get("https://api.example.com/orders")
"""

from dpop_asgi.client.auth import DPoPAuth
from dpop_asgi.client.flow import header_flow
from dpop_asgi.client.key import Key
from dpop_asgi.client.nonces import Nonces
from dpop_asgi.client.token_endpoint import ClientCredentials, TokenError

__all__ = ["ClientCredentials", "DPoPAuth", "Key", "Nonces", "TokenError", "header_flow"]
