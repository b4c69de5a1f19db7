"""A proof is used once (RFC 9449 §11.1)."""

from hashlib import sha256
from os import urandom

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.ports import Fenced, Store

# An entry outlives the proof by this, and by so much the clocks of the hosts may differ: where one is behind
# the one that accepted the proof, it would accept it for that much longer.
_MARGIN_SECONDS = 10.0

# 96 bits of SHA-256: the key fits the allocation class of 32 bytes, and an entry in Redis 7 takes 149 bytes instead of
# 165. Should two proofs meet (by chance, or by 2**48 attempts of their client), the second is refused.
_DIGEST_BYTES = 12

# Our own write, sent again by a client library after a lost reply, is told from a replay by this many random bytes.
_VALUE_BYTES = 6


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
        # Those with a hash tag are as long, so that keys stay in their allocation class.
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
    ) -> bool:
        """Record the proof as used. Returns `True` on first use, and `False` on a replay.

        Args:
            key_thumbprint: of the proof's key, so that no client can spend another's `jti`.
            target_uri: in normal form, the context of the `jti` (RFC 9449 §11.1).
            jti: as the client chose it; only a hash is kept.
            seconds_left: how long this very proof could still be accepted.
            nonce: in the proof; says with which hash tag the key is on the same server as the nonce, also where nonces
                are off: a proof has one key, whoever judges it.
            incarnation: of the store, under which the nonce was agreed; the reply must come from it.

        Raises:
            Superseded: If the reply came from another incarnation.
            StoreError: If the store cannot say.
        """
        context = f"{key_thumbprint}\0{target_uri}\0{jti}".encode("utf-8", "surrogatepass")
        prefix = self._prefixes.get(nonce[:1], self._prefix) if self._prefixes and nonce else self._prefix
        key = prefix + b64url_encode(sha256(context).digest()[:_DIGEST_BYTES])
        mine, ttl = urandom(_VALUE_BYTES).hex(), max(seconds_left, 0.0) + _MARGIN_SECONDS
        if self._fence is None or incarnation is None:
            return await self._store.put_if_absent(key, mine, ttl=ttl) == mine
        return await self._fence.put_if_absent(key, mine, ttl=ttl, under=incarnation) == mine
