"""The commands and their options."""

import asyncio
import json
import os
from importlib.metadata import version
from typing import Annotated

import typer

from dpop_asgi.cli.check.run import examine_quietly
from dpop_asgi.cli.check.screen import print_json, print_report
from dpop_asgi.cli.demo.run import run
from dpop_asgi.cli.demo.run import serve as serve_until_stopped
from dpop_asgi.cli.demo.screen import error, survive_poor_encodings
from dpop_asgi.cli.demo.servers import CannotRun, exit_on_signals
from dpop_asgi.cli.explain.run import Options
from dpop_asgi.cli.explain.run import explain as explain_request
from dpop_asgi.cli.prove import keygen as write_key
from dpop_asgi.cli.prove import prove as make_proof
from dpop_asgi.cli.report.run import report as report_log
from dpop_asgi.cli.revocation.commands import nonces, revoke
from dpop_asgi.cli.usage_errors import usage_errors
from dpop_asgi.core.jwk import KEY_TYPES

_ALGORITHMS = ", ".join(KEY_TYPES)

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
    report = asyncio.run(examine_quietly(os.environ))
    (print_json if as_json else print_report)(report)
    raise typer.Exit(report.exit_code)


@app.command()
def explain(
    *,
    proof: Annotated[
        str | None,
        typer.Argument(
            metavar="PROOF|FILE|-",
            show_default=False,
            help="A proof, a file, or standard input: a proof, the output of curl -v, a curl command, an HTTP request, "
            "or a HAR file.",
        ),
    ] = None,
    method: Annotated[str | None, typer.Option(help="The method of the request.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="The URL of the request, as the server has it.")] = None,
    token: Annotated[str | None, typer.Option(help="The access token, or @FILE.", show_default=False)] = None,
    nonce: Annotated[str | None, typer.Option(help="The DPoP-Nonce that the server issued last.")] = None,
    jwks: Annotated[str | None, typer.Option(metavar="FILE|URL", help="The issuer's keys.")] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="The server's store: redis://… It is only read.")
    ] = None,
    now: Annotated[
        float | None, typer.Option(metavar="EPOCH", help="The time to judge at, instead of that of the request or now.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find out why a request is rejected: every check, what it compares, and what to change.

    Uses the limits in the server's DPOP_* environment variables, if they are set. Sends nothing to the server.

    Never shows tokens, proofs or keys in full. Exits with 1 if a check fails, with 2 if the input is unusable.
    """
    survive_poor_encodings()
    options = Options(
        proof=proof, method=method, url=url, token=token, nonce=nonce, jwks=jwks, store=store, now=now, as_json=as_json
    )
    with usage_errors():
        raise typer.Exit(explain_request(options))


@app.command()
def prove(
    *,
    key: Annotated[str, typer.Option(metavar="FILE", help="The private key: JWK or PEM.", show_default=False)],
    url: Annotated[str, typer.Option(help="The URL of the request.", show_default=False)],
    method: Annotated[str, typer.Option(help="The method of the request.")] = "GET",
    token: Annotated[
        str | None, typer.Option(help="The access token, or @FILE; without it, the proof is for a token endpoint.")
    ] = None,
    nonce: Annotated[str | None, typer.Option(help="The DPoP-Nonce that the server issued last.")] = None,
    curl: Annotated[bool, typer.Option("--curl", help="Print a whole curl command, with the token in it.")] = False,
) -> None:
    """Make a proof for one request. It can be used once, and only for a short time."""
    with usage_errors():
        proof = make_proof(
            key,
            url,
            method=method,
            token=token,
            nonce=nonce,
            as_curl=curl,
            ask_password=lambda: str(typer.prompt("Password of the key", hide_input=True, err=True)),
        )
        typer.echo(proof)


@app.command()
def keygen(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write the private key.", show_default=False)],
    *,
    alg: Annotated[str, typer.Option(metavar="ALG", help=f"The algorithm of its proofs: {_ALGORITHMS}.")] = "ES256",
) -> None:
    """Make a private key, and print its thumbprint and its public JWK.

    It is written as JWK, or as PEM if the name ends in .pem. Only you can read the file, and none is overwritten.
    """
    with usage_errors():
        typer.echo(json.dumps(write_key(file, alg), indent=2))


@app.command()
def report(
    logfile: Annotated[
        str, typer.Argument(metavar="LOGFILE|-", help="The log of the API, or standard input.", show_default=False)
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Count clients by scheme, and rejections by reason: which clients still send Bearer tokens?

    Reads what the observer log_decisions logs. Exits with 1 if a client is left on Bearer, with 2 without any
    decisions, else with 0.
    """
    survive_poor_encodings()
    with usage_errors():
        raise typer.Exit(report_log(logfile, as_json=as_json))


app.command()(revoke)
app.add_typer(nonces, name="nonces")
