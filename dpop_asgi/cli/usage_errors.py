"""What a command does with input that can't be used."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from dpop_asgi.cli.demo.screen import error
from dpop_asgi.cli.unusable import Unusable


@contextmanager
def usage_errors() -> Iterator[None]:
    """Print why, and exit with 2."""
    try:
        yield
    except Unusable as reason:
        error(str(reason))
        raise typer.Exit(2) from None
