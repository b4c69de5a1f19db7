"""The client's side of DPoP. It stands on `core` alone."""
