"""The command `dpop-asgi`. Nothing of the extra `cli` is imported before it is known to be there."""

import sys
from importlib import import_module
from importlib.util import find_spec

_EXTRA = ("rich", "typer", "uvicorn", "websockets")


def main() -> None:
    """Run the command line; without the extra say in one sentence how to get it."""
    if any(find_spec(name) is None for name in _EXTRA):
        sys.exit("dpop-asgi needs what its extra `cli` brings: pip install 'dpop-asgi[cli]'")
    import_module("dpop_asgi.cli.app").app()
