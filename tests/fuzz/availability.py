"""Is atheris here, and if not, could it be?"""

import importlib.util
import platform
import sys

# As in the development tools of pyproject.toml: for these there are wheels.
NEWEST = (3, 14)


class NoWheelError(Exception):
    """There is no wheel of atheris for this platform."""


class MissingError(Exception):
    """There is a wheel, but it is not installed."""


def has_wheel() -> bool:
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and platform.python_implementation() == "CPython"
        and sys.version_info[:2] <= NEWEST
        and platform.libc_ver()[0] == "glibc"
    )


def require_atheris() -> None:
    """Say plainly why there can be no fuzzing.

    Raises:
        NoWheelError: not on this platform.
        MissingError: not in this environment.
    """
    if importlib.util.find_spec("atheris") is not None:
        return
    here = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if not has_wheel():
        raise NoWheelError(
            f"nothing was fuzzed: atheris has no wheel for {here}. It has for CPython 3.11 to 3.14 on Linux x86_64."
        )
    raise MissingError(
        f"nothing was fuzzed: atheris is not installed, although it has a wheel for {here}. Run"
        " `python3 -m tests --setup-only`, then this inside .venv."
    )
