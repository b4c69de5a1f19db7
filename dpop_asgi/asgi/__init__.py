"""The ASGI layer: reads requests from scopes, and sends responses."""
