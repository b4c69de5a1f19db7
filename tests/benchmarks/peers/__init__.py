"""Other ways to verify proofs: what they cost beside dpop_asgi."""
