"""`dpop-asgi check`: what is wrong with the configuration, and with what it names."""
