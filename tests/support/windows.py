"""The nonce window as the decision uses it."""

from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.nonces import NonceWindow


async def accepted_nonce(window: NonceWindow, nonce: object, now: float) -> AcceptedNonce:
    """What `window` says of `nonce`, once it is ready."""
    if not window.is_complete(now):
        await window.ensure(now)
    return window.accept(nonce, now)
