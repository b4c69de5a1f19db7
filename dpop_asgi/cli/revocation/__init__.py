"""`dpop-asgi nonces` and `dpop-asgi revoke`: what workers agreed on, and what an operator withdraws."""
