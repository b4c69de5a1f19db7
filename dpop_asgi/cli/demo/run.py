"""`dpop-asgi demo`: a walkthrough to watch, or a server to call."""

import asyncio
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dpop_asgi.cli.demo.client import DemoClient
from dpop_asgi.cli.demo.conversation import NONCES, Conversation
from dpop_asgi.cli.demo.issuer import IssuerServer
from dpop_asgi.cli.demo.screen import Screen
from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer
from dpop_asgi.cli.demo.steps import exit_code
from dpop_asgi.cli.demo.words import head
from dpop_asgi.errors import StoreError
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.settings import Settings
from dpop_asgi.testing import Client, Issuer

_AUDIENCE = "https://api.example.com"
_TOKEN_HOURS = 12
_TICK_SECONDS = 0.2

# The demo may run on a busy laptop with a remote store.
_STORE_SECONDS = 2.0

_SCRIPT = """
import json, os, httpx2
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client

url, token = "{url}", os.environ["TOKEN"]
client = Client(key=PrivateKey.from_jwk("ES256", json.loads(os.environ["KEY"])))
nonce = httpx2.get(url).headers["DPoP-Nonce"]
headers = client.headers("GET", url, token, nonce=nonce)
print(httpx2.get(url, headers=headers).text)
"""


def run(store: str) -> int:
    """Run the walkthrough.

    Args:
        store: the URL of the server's store.

    Returns:
        0 if all responses are as expected, else 1.

    Raises:
        CannotRun: If the store can't be used, or a server doesn't start or exits.
    """
    screen, start = Screen(), time.monotonic()
    with _stage(screen, store, NONCES) as (issuer, server):
        conversation = Conversation(DemoClient(server), server.url, issuer, screen.wait)
        screen.opening(
            {
                **_facts(issuer, server, store, NONCES),
                "client": f"key {head(conversation.client.thumbprint)}  will have a token bound to this key",
                "attacker": f"key {head(conversation.attacker.thumbprint)}  will steal the token and record requests",
                "not shown": "requests that only fetch a new nonce for the next step",
            }
        )
        steps = []
        for step in conversation.steps():
            screen.step(step)
            steps.append(step)
    screen.table(steps)
    screen.verdict(steps, time.monotonic() - start)
    screen.say("Call such a server yourself, with curl or Python: dpop-asgi demo --serve")
    return exit_code(steps)


def serve(store: str) -> int:
    """Keep the server running until Ctrl+C, and print commands to call it.

    Args:
        store: the URL of the server's store.

    Returns:
        0.

    Raises:
        CannotRun: If the store can't be used, or a server doesn't start or exits.
    """
    screen = Screen()
    with _stage(screen, store, NoncePolicy()) as (issuer, server):
        screen.opening(_facts(issuer, server, store, NoncePolicy()))
        _print_commands(screen, issuer, server)
        screen.say("The server is running. Press Ctrl+C to stop it. Its log:")
        server.news()
        try:
            while True:
                server.check()
                screen.log(server.news())
                time.sleep(_TICK_SECONDS)
        except KeyboardInterrupt:
            screen.say("Stopped.")
    return 0


def _facts(issuer: Issuer, server: ExampleServer, store: str, nonces: NoncePolicy) -> dict[str, str]:
    return {
        "resource server": f"{server.url}  process {server.pid}",
        "its store": _without_password(store),
        "its nonce": f"a new one every {nonces.period:g} s; the previous one remains valid",
        "issuer": issuer.url,
    }


def _print_commands(screen: Screen, issuer: Issuer, server: ExampleServer) -> None:
    client, url = Client(), f"{server.url}/resource"
    token = issuer.access_token(client, claims={"exp": int(time.time()) + _TOKEN_HOURS * 3600})
    proof = client.proof("GET", url, token, nonce=DemoClient(server).get("/resource", {}).nonce)
    key = json.dumps(client.key.private_jwk, separators=(",", ":"))
    screen.say(f"Paste this into another terminal: a token, valid for {_TOKEN_HOURS} h, and the key it is bound to.")
    screen.command(f"export TOKEN={shlex.quote(token)} KEY={shlex.quote(key)}")
    screen.say("With curl. This proof is valid for a minute, and for one request: try it twice.")
    screen.command(f'curl -i {url} -H "Authorization: DPoP $TOKEN" -H "DPoP: {proof}"')
    screen.say("With Python, as often as you like. Each run creates a new proof.")
    screen.command(f"{shlex.quote(sys.executable)} -c {shlex.quote(_SCRIPT.format(url=url))}")


@contextmanager
def _stage(screen: Screen, store: str, nonces: NoncePolicy) -> Iterator[tuple[Issuer, ExampleServer]]:
    """Run the issuer and the server."""
    with ExitStack() as running:
        with screen.busy("Starting the issuer and the resource server …"):
            issuer = running.enter_context(IssuerServer(_AUDIENCE)).issuer
            settings = _settings(issuer, store, nonces)
            # A store in the server's memory can't be reached from here.
            if store != "memory://":
                asyncio.run(_check_store(settings))
            server = running.enter_context(ExampleServer(settings))
        yield issuer, server


def _settings(issuer: Issuer, store: str, nonces: NoncePolicy) -> dict[str, str]:
    return {
        "DPOP_ISSUER": issuer.url,
        "DPOP_AUDIENCE": issuer.audience,
        "DPOP_STORE": store,
        "DPOP_STORE_TIMEOUT": f"{_STORE_SECONDS:g}",
        "DPOP_NAMESPACE": "dpop-demo",
        "DPOP_NONCE_PERIOD": f"{nonces.period:g}",
        "DPOP_NONCE_GRACE": f"{nonces.grace}",
    }


async def _check_store(settings: dict[str, str]) -> None:
    """Check the store first: its error message explains what is wrong, where the server would only return a 503."""
    try:
        authenticator = Settings.from_environment(settings).authenticator
        try:
            await authenticator.ready()
        finally:
            await authenticator.aclose()
    except (StoreError, ValueError) as error:
        store = _without_password(settings["DPOP_STORE"])
        advice = " Start it, or leave out --store." if isinstance(error, StoreError) else ""
        msg = f"The store {store} can't be used: {str(error).removeprefix('DPOP_STORE: ').rstrip('.')}.{advice}"
        raise CannotRun(msg) from error


def _without_password(url: str) -> str:
    return re.sub(r"//.*@", "//", url).partition("?")[0]
