"""`python -m dpop_asgi.cli` is `dpop-asgi`."""

from dpop_asgi.cli import main

main()
