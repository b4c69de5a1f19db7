"""`dpop-asgi explain`: every check on one request, with what it compared, and why it failed."""
