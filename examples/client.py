"""Calls a protected API, and fetches the access token for it.

    TOKEN_URL=https://id.example.com/token CLIENT_ID=my-client CLIENT_SECRET=its-secret \
        python examples/client.py https://api.example.com/orders

With KEY_FILE the key is read from a PEM file; without it a new one is made.
"""

import os
import sys
from pathlib import Path

import httpx2

from dpop_asgi.client import ClientCredentials, DPoPAuth, Key, TokenError


def make_auth() -> DPoPAuth:
    """From the environment."""
    key_file = os.environ.get("KEY_FILE")
    key = Key.from_pem(Path(key_file).read_bytes()) if key_file else Key.generate()
    credentials = ClientCredentials(
        os.environ["TOKEN_URL"],
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        scope=os.environ.get("SCOPE"),
        resource=os.environ.get("RESOURCE"),
    )
    return DPoPAuth(credentials, key=key)


def main(url: str) -> int:
    """Print the response; the exit code says whether it is one of success."""
    with httpx2.Client(auth=make_auth()) as http:
        try:
            response = http.get(url)
        except TokenError as error:
            print(f"no token: {error}", file=sys.stderr)
            return 2
    print(response.status_code, response.text)
    return 0 if response.is_success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
