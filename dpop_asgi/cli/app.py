"""The commands and their options."""

import asyncio
import os
from importlib.metadata import version
from typing import Annotated

import typer

from dpop_asgi.cli.check.run import examine
from dpop_asgi.cli.check.screen import print_json, print_report
from dpop_asgi.cli.demo.run import run
from dpop_asgi.cli.demo.run import serve as serve_until_stopped
from dpop_asgi.cli.demo.screen import error, survive_poor_encodings
from dpop_asgi.cli.demo.servers import CannotRun, exit_on_signals

app: typer.Typer = typer.Typer(
    name="dpop-asgi",
    help="DPoP (RFC 9449) for ASGI resource servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        typer.echo(f"dpop-asgi {version('dpop-asgi')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    *,
    store: Annotated[
        str, typer.Option(metavar="URL", help="The server's store for nonces and used proofs: memory://, redis://…")
    ] = "memory://",
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Skip the walkthrough, keep the server running, and print commands to call it."),
    ] = False,
) -> None:
    """Watch a client call a protected API: challenges, rotating nonces, and attacks that are rejected.

    Server, issuer and keys are real, all on this machine. Exits with 0 if all responses are as expected.
    """
    exit_on_signals()
    survive_poor_encodings()
    try:
        raise typer.Exit(serve_until_stopped(store) if serve else run(store))
    except CannotRun as reason:
        error(str(reason))
        raise typer.Exit(1) from None


@app.command()
def check(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check the configuration in the environment, and the issuer and the store that it names.

    Shows each setting (DPOP_…) and what to change. Exits with 1 if requests would fail, else with 0.
    """
    survive_poor_encodings()
    report = asyncio.run(examine(os.environ))
    (print_json if as_json else print_report)(report)
    raise typer.Exit(report.exit_code)
