"""The client side of DPoP. It depends only on `core`."""
