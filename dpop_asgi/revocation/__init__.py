"""What an operator revokes, and how every worker learns of it.

There is one value in the store, or in a cluster one per hash tag, with the generation of nonces and the revoked keys.
A worker reads it together with a proof that it records, in the same pipeline, when what it knows is a quarter of a
second old. Workers remember what they have read, and write it again where a store has lost it.
"""

from dpop_asgi.revocation.revocations import Revocations
from dpop_asgi.revocation.watch import RevocationWatch, RevocationWatches, tags_of

__all__ = ["RevocationWatch", "RevocationWatches", "Revocations", "tags_of"]
