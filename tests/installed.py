"""The suite against what users install: the wheel, in a new venv, with no sources beside the tests.

The standard library is enough. The wheel is made from the sdist, and the tests, pages and examples are those of the
sdist. `dpop_asgi/` is removed there: Python would take it for the package, and never look at what was installed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.programs import CACHE, PYTHON, ROOT, SetupError, run, say

HOME = CACHE / "installed"
BASE = ("dpop_asgi", "dpop_asgi.client", "dpop_asgi.settings", "dpop_asgi.starlette", "dpop_asgi.testing")


def run_installed(arguments: list[str], environment: dict[str, str], *, oldest: bool) -> int:
    """The tests with these arguments, and the oldest dependencies that are allowed or the newest. Gives their code."""
    shutil.rmtree(HOME, ignore_errors=True)
    tree, wheel = build(ROOT, HOME)
    shutil.rmtree(tree / "dpop_asgi")
    chosen = []
    if oldest:
        (HOME / "oldest.txt").write_text("\n".join(oldest_versions()))
        chosen = ["--constraint", str(HOME / "oldest.txt")]
    try_without_extras(wheel, chosen)
    extra = "tests" if oldest else "dev"
    environment = {
        **{name: value for name, value in environment.items() if name not in {"PYTHONPATH", "PYTHONPYCACHEPREFIX"}},
        "TESTS_INSTALL": shlex.join([*chosen, f"dpop-asgi[{extra}] @ {wheel.as_uri()}"]),
        # FastMCP takes only the newest of what it depends on; what is old uses what is now deprecated in what is not.
        **({"PYTEST_ADDOPTS": "-k 'not fastmcp' -W ignore::DeprecationWarning"} if oldest else {}),
    }
    say(f"running them in {tree}")
    command = [sys.executable, "-m", "tests", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


def build(source: Path, target: Path, *, python: Path | str = PYTHON) -> tuple[Path, Path]:
    """An sdist of the source, unpacked, and the wheel that is made from it. It needs hatchling, and no network."""
    advice = "Is hatchling installed?"
    hatchling = (python, "-m", "hatchling", "build", "--directory", target)
    run(*hatchling, "--target", "sdist", cwd=source, advice=advice)
    (sdist,) = target.glob("*.tar.gz")
    run("tar", "-xzf", sdist, "-C", target, advice="Is tar installed?")
    tree = target / sdist.name.removesuffix(".tar.gz")
    run(*hatchling, "--target", "wheel", cwd=tree, advice=advice)
    (wheel,) = target.glob("*.whl")
    return tree, wheel


def oldest_versions() -> list[str]:
    """The lower bounds of what users install, as constraints for pip."""
    import tomllib  # noqa: PLC0415 - an older Python can read this file

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    names = re.search(r"\[(.+)\]", everything)
    wanted = [*project["dependencies"], *(one for name in names[1].split(",") for one in extras[name])]
    return sorted({re.sub(r"\[.*\]", "", one).replace(">=", "==") for one in wanted})


def try_without_extras(wheel: Path, chosen: list[str]) -> None:
    """Raises: SetupError: If the wheel alone can't be imported, or its command doesn't say which extra it needs."""
    say("trying the wheel without extras")
    bare = HOME / "bare"
    run(sys.executable, "-m", "venv", "--without-pip", bare, advice="Install the venv module of this Python.")
    pip_install = (PYTHON, "-m", "pip", "--python", bare / "bin/python", "install", "--quiet")
    run(*pip_install, *chosen, wheel, advice="Is a package index within reach?")
    run(bare / "bin/python", "-P", "-c", f"import {', '.join(BASE)}", cwd=HOME, advice="It needs an extra.")
    told = subprocess.run([bare / "bin/dpop-asgi"], capture_output=True, text=True, check=False)
    if (told.returncode, "'dpop-asgi[cli]'" in told.stderr) != (1, True):
        raise SetupError(f"dpop-asgi without its extra: {told.returncode}\n{told.stdout}{told.stderr}")
