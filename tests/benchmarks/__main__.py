"""`python3 -m tests.benchmarks` measures everything in one run; `--help` lists what can be chosen.

Where something is missing it is installed first, as by `python3 -m tests`.
"""

import importlib.util
import os
import sys
from pathlib import Path

# Run as a file, or in a process that measures, the root is not yet where modules are looked for.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests import set_up as setup

_MODULES = ("dpop_asgi", "cryptography", "hiredis", "httptools", "matplotlib", "redis", "rich", "uvicorn", "uvloop")
_MODULES += ("authlib", "jwt", "pydpop")
_SECOND_TRY = "BENCHMARKS_ARE_INSTALLED"


def missing() -> list[str]:
    return [name for name in _MODULES if importlib.util.find_spec(name) is None]


def under_coverage() -> bool:
    coverage = sys.modules.get("coverage")
    return coverage is not None and coverage.Coverage.current() is not None


def install(arguments: list[str]) -> None:
    """Install what is missing into `.venv`, and start again there."""
    if os.environ.get(_SECOND_TRY):
        raise setup.SetupError(f"{', '.join(missing())} cannot be installed here: remove .venv and run this again.")
    os.chdir(setup.ROOT)
    setup.make_venv()
    setup.install_package()
    sys.stdout.flush()
    again = [str(setup.PYTHON), "-m", "tests.benchmarks", *arguments]
    os.execve(setup.PYTHON, again, {**os.environ, _SECOND_TRY: "1"})


def main(arguments: list[str]) -> int:
    if under_coverage():
        raise setup.SetupError("benchmarks under coverage measure coverage: run them without.")
    if missing():
        install(arguments)
    from tests.benchmarks.session import main as measure  # noqa: PLC0415 - only now is what it needs there

    return measure(arguments, redis_binary=setup.redis_server)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except setup.SetupError as error:
        sys.exit(f"benchmarks: {error}")
