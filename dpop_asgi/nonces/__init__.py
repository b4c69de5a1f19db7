"""The rotating nonces of a server (RFC 9449 §8, §9), on which all workers agree through the store.

The nonce of a slot is a random value: whichever worker asks first writes it, all others read the same. Each process
keeps the window in memory, so that checking a nonce needs no round trip, and agrees on the slots ahead long before they
begin, so that rotation causes no rejections.

The fence: a store may forget (a restart, a failover), and a used proof could then be used again. So a nonce belongs to
the incarnation of the store under which it was agreed, and a proof is accepted only if the reply that recorded it came
from that same incarnation. When the incarnation changes, the window starts an era with nonces of its own.
"""

from dpop_asgi.core.nonce_window import NoncePolicy
from dpop_asgi.nonces.window import NonceWindow
from dpop_asgi.nonces.windows import NonceWindows

__all__ = ["NoncePolicy", "NonceWindow", "NonceWindows"]
