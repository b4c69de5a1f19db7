"""`python3 -m tests.benchmarks` measures everything in one run; `--help` lists what can be chosen.

Where something is missing it is installed first, as by `python3 -m tests`.
"""

import importlib.util
import os
import sys

from tests import set_up

_MODULES = ("dpop_asgi", "cryptography", "hiredis", "httptools", "redis", "rich", "uvicorn", "uvloop")
_MODULES += ("authlib", "jwt", "pydpop")
_SECOND_TRY = "BENCHMARKS_ARE_INSTALLED"


def install(missing: list[str], arguments: list[str]) -> None:
    """Install everything into `.venv`, and start again there."""
    if os.environ.get(_SECOND_TRY):
        raise set_up.SetupError(f"{', '.join(missing)} cannot be installed here: remove .venv and run this again.")
    environment = {**set_up.set_up(), _SECOND_TRY: "1"}
    sys.stdout.flush()
    os.execve(set_up.PYTHON, [str(set_up.PYTHON), "-m", "tests.benchmarks", *arguments], environment)


def main(arguments: list[str]) -> int:
    coverage = sys.modules.get("coverage")
    if coverage is not None and coverage.Coverage.current() is not None:
        raise set_up.SetupError("benchmarks under coverage measure coverage: run them without.")
    if missing := [name for name in _MODULES if importlib.util.find_spec(name) is None]:
        install(missing, arguments)
    from tests.benchmarks.runner import main as measure  # noqa: PLC0415 - only now is what it needs there

    return measure(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except set_up.SetupError as error:
        sys.exit(f"benchmarks: {error}")
