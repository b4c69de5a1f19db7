"""`dpop-asgi nonces`, `dpop-asgi nonces revoke` and `dpop-asgi revoke`, with their options."""

from typing import Annotated

import typer

from dpop_asgi.cli.demo.screen import survive_poor_encodings
from dpop_asgi.cli.revocation.run import KeyOptions, revoke_key, revoke_nonces, show_nonces
from dpop_asgi.cli.usage_errors import usage_errors

nonces: typer.Typer = typer.Typer(invoke_without_command=True)

_Store = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The workers' store: redis://… By default DPOP_STORE.", show_default=False),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@nonces.callback()
def show(context: typer.Context, *, store: _Store = None, as_json: _Json = False) -> None:
    """Show the nonces that the workers agreed on: which are accepted, and which is issued. Never in full.

    Uses DPOP_NAMESPACE and DPOP_NONCE_… from the environment, as the workers do. The store is only read.
    """
    if context.invoked_subcommand is not None:
        context.obj = store
        return
    survive_poor_encodings()
    with usage_errors():
        raise typer.Exit(show_nonces(store, as_json=as_json))


@nonces.command("revoke")
def revoke_all(context: typer.Context, *, store: _Store = None) -> None:
    """Make all nonces invalid, and so all proofs made until now: after a batch of proofs was stolen.

    Each client is challenged once, and goes on with a new nonce. Exits with 1 if the store did not respond.
    """
    survive_poor_encodings()
    with usage_errors():
        raise typer.Exit(revoke_nonces(store or context.obj))


def revoke(
    *,
    key: Annotated[
        str | None,
        typer.Option(metavar="THUMBPRINT", help="Of the client's key: cnf.jkt of its tokens.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", help="For how long. By default a day.", show_default=False),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Accept the key again.")] = False,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Reject a client's key on all workers, whatever token comes with it. Without --key, list the revoked keys.

    Uses DPOP_NAMESPACE from the environment, as the workers do. Exits with 1 if the store did not respond.
    """
    survive_poor_encodings()
    options = KeyOptions(key=key, seconds=seconds, undo=undo, store=store, as_json=as_json)
    with usage_errors():
        raise typer.Exit(revoke_key(options))
