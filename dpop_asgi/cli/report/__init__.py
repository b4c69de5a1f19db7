"""`dpop-asgi report`: which clients use DPoP, and which still Bearer."""
