"""The ASGI skin: facts out of a scope, answers into it."""
