"""A browser that shows nothing: it opens an address and follows every redirect."""

import sys

import httpx2

httpx2.get(sys.argv[1], follow_redirects=True, trust_env=False)
