"""`dpop-asgi demo`: a client and a protected API, talking over real sockets."""
