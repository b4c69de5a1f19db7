"""Programs of the system that the tests run: found, or else installed.

Nothing but the standard library is needed, and any Python can read this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CACHE = ROOT / ".cache"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


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
        is_served: whether its package would start a server: then it is only unpacked.
        flag: prints the version.
    """

    variable: str
    names: tuple[str, ...]
    package: str
    version: str
    oldest: int
    advice: str
    is_served: bool = False
    flag: str = "--version"

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
        path += ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin", str(CACHE / self.package)]
        folders = [folder for folder in path if Path(folder) != PYTHON.parent]
        candidates = (shutil.which(name, path=folder) for folder in folders for name in self.names)
        return next((found for found in candidates if found and self.new_enough(found)), None)

    def new_enough(self, path: str) -> bool:
        try:
            output = run(path, self.flag, advice="")
        except SetupError:
            return False
        version = re.search(self.version, output)
        return version is not None and int(version[1]) >= self.oldest

    def install(self) -> None:
        if shutil.which("apt-get") and IS_ROOT and not self.is_served:
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
        (program,) = (file for file in (home / "root/usr").glob(f"*/**/{self.package}") if is_binary(file))
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
NGINX = Program(
    variable="NGINX",
    names=("nginx",),
    package="nginx",
    version=r"nginx/(\d+)",
    oldest=1,
    advice="Install nginx, or set NGINX to its path, and run this again.",
    is_served=True,
    flag="-v",
)


def apt_install(package: str, advice: str) -> None:
    install = ("apt-get", "-oDPkg::Lock::Timeout=120", "install", "--yes", "--no-install-recommends")
    run("apt-get", "update", advice=advice)
    run(*install, package, advice=advice, DEBIAN_FRONTEND="noninteractive")


def is_binary(file: Path) -> bool:
    return file.is_file() and file.read_bytes()[:4] == b"\x7fELF"


# Prometheus, whose promtool runs the alert rules of docs/observability.md


def promtool() -> str:
    """The path of promtool; fetched if there is none, and not installed: the package would start a server."""
    unpacked = CACHE / "prometheus" / "usr" / "bin" / "promtool"
    found = os.environ.get("PROMTOOL") or shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)
    if found:
        return found
    advice = "Install Prometheus, or set PROMTOOL to the path of its promtool, and run this again."
    say("fetching prometheus, for its promtool")
    if shutil.which("brew"):
        run("brew", "install", "prometheus", advice=advice)
        return shutil.which("promtool") or "promtool"
    packages = CACHE / "prometheus" / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    if IS_ROOT:
        run("apt-get", "update", advice=advice)
    for name in ("prometheus", "promtool"):  # a package of its own since Debian 14
        if not unpacked.exists():
            run("apt-get", "download", name, cwd=packages, advice=advice)
            for package in packages.glob(f"{name}_*.deb"):
                run("dpkg-deb", "--extract", package, CACHE / "prometheus", advice=advice)
    return str(unpacked)
