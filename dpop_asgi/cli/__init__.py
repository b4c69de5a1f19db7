"""The command `dpop-asgi`. Nothing from the `cli` extra is imported before it is known to be installed."""

import sys
from importlib import import_module
from importlib.util import find_spec

_EXTRA = ("rich", "typer", "uvicorn", "websockets")


def main() -> None:
    """Run the command line. Without the extra, exit with a message that says how to install it."""
    if any(find_spec(name) is None for name in _EXTRA):
        sys.exit("The command line needs the 'cli' extra: pip install 'dpop-asgi[cli]'")
    import_module("dpop_asgi.cli.app").app()
