"""A proof is used once (RFC 9449 §11.1)."""

from hashlib import sha256
from os import urandom

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.ports import Fenced, Store

# How long an entry outlives its proof. Hosts' clocks may differ by up to this much: a host that is behind accepts a
# proof for that much longer.
MARGIN_SECONDS = 10.0

# 96 bits of SHA-256: the key fits the allocation class of 32 bytes, and an entry in Redis 7 takes 149 bytes instead of
# 165. If two proofs collide (by chance, or after 2**48 attempts of their client), the second is rejected.
_DIGEST_BYTES = 12

# These random bytes tell our own write, which a client library sends again after a lost reply, from a replay.
VALUE_BYTES = 6


class UsedProofs:
    """Remembers proofs for as long as they could be accepted.

    Args:
        store: shared by all workers that accept the same tokens.
        namespace: prefix of the keys.
    """

    def __init__(self, store: Store, *, namespace: str) -> None:
        self._store = store
        self._fence = store if isinstance(store, Fenced) else None
        self._prefix = f"{namespace}:jti:v1:"
        # With a hash tag they have the same length, so that keys stay in their allocation class.
        tags = () if self._fence is None else self._fence.tags
        self._prefixes = {tag[0]: f"{namespace}:jti{{{tag}}}" for tag in tags if tag}

    async def claim(
        self,
        *,
        key_thumbprint: str,
        target_uri: str,
        jti: str,
        seconds_left: float,
        nonce: str | None = None,
        incarnation: str | None = None,
        value: str | None = None,
    ) -> bool:
        """Record the proof as used. Returns `True` on first use, and `False` on a replay.

        Args:
            key_thumbprint: of the proof's key, so that no client can use up another's `jti`.
            target_uri: in normal form, the context of the `jti` (RFC 9449 §11.1).
            jti: as the client chose it; only a hash is kept.
            seconds_left: how long this proof could still be accepted.
            nonce: in the proof. It determines the hash tag that puts the key on the same server as the nonce, even if
                nonces are off: every worker must use the same key.
            incarnation: of the store, under which the nonce was agreed; the reply must come from it.
            value: random, of this use, if it is claimed elsewhere too.

        Raises:
            Superseded: If the reply came from another incarnation.
            StoreError: If the store can't tell.
        """
        context = f"{key_thumbprint}\0{target_uri}\0{jti}".encode("utf-8", "surrogatepass")
        prefix = self._prefixes.get(nonce[:1], self._prefix) if self._prefixes and nonce else self._prefix
        key = prefix + b64url_encode(sha256(context).digest()[:_DIGEST_BYTES])
        mine, ttl = value or urandom(VALUE_BYTES).hex(), max(seconds_left, 0.0) + MARGIN_SECONDS
        if self._fence is None or incarnation is None:
            return await self._store.put_if_absent(key, mine, ttl=ttl) == mine
        return await self._fence.put_if_absent(key, mine, ttl=ttl, under=incarnation) == mine
