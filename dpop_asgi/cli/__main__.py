"""`python -m dpop_asgi.cli` is the same as `dpop-asgi`."""

from dpop_asgi.cli import main

main()
