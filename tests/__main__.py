"""`python3 -m tests` sets everything up in a fresh clone, and runs all tests.

They run in three parts (see `parts.py`). With arguments, pytest is run once, with them.
`--explore` tries random examples, with another seed each time, until one fails or Ctrl+C; paths may follow it.
`--wheel` runs all against the wheel, and `--minimum` with the oldest dependencies that are allowed (`installed.py`);
arguments may follow. `--setup-only` stops before pytest.
"""

from __future__ import annotations

import os
import sys

from tests.installed import run_installed
from tests.parts import FOR_ALL, explore, run_all
from tests.programs import PYTHON, SetupError, say
from tests.set_up import set_up


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        say(__doc__)
        return 0
    environment = set_up()
    if arguments == ["--setup-only"]:
        say("ready")
    elif arguments[:1] == ["--explore"]:
        return explore(arguments[1:], environment)
    elif arguments[:1] in (["--wheel"], ["--minimum"]):
        return run_installed(arguments[1:], environment, oldest=arguments[0] == "--minimum")
    elif all(argument.startswith(FOR_ALL) for argument in arguments):
        return run_all(arguments, environment)
    else:
        sys.stdout.flush()
        os.execve(PYTHON, [str(PYTHON), "-m", "pytest", *arguments], environment)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(f"tests: {error}")
