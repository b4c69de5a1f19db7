"""Tools for testing protected APIs: an issuer, clients that can also create invalid proofs, and a clock.

clock = ManualClock()
issuer = Issuer("https://id.example.com", audience="https://api.example.com", clock=clock)
client = Client(clock=clock)
token = issuer.access_token(client)
headers = client.headers("GET", "https://api.example.com/orders", token)
"""

from dpop_asgi.client.proofs import jwt
from dpop_asgi.testing.client import Client
from dpop_asgi.testing.clock import ManualClock
from dpop_asgi.testing.issuer import Issuer

__all__ = ["Client", "Issuer", "ManualClock", "jwt"]
