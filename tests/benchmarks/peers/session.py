"""Everything in one run, on one machine."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from tests.benchmarks.peers import checks, node, throughput, verification
from tests.benchmarks.peers.processes import cores
from tests.benchmarks.peers.report import targets

_PACKAGES = ("dpop-asgi", "pydpop", "PyJWT", "Authlib", "joserfc", "cryptography", "redis", "hiredis")
_PACKAGES += ("starlette", "uvicorn", "httptools", "uvloop")


def run(*, quick: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """All figures; `tell` is told what is done next."""
    missing = [name for name in ("authlib", "jwt", "pydpop") if find_spec(name) is None]
    if missing:
        raise node.PeerMissing(f"not installed: {', '.join(missing)}; pip install --editable '.[bench]'")
    tell("installing the peers on Node")
    node.install()
    load_before = os.getloadavg()
    measured = {
        "verification": verification.measure(quick=quick, tell=tell),
        "throughput": throughput.measure(quick=quick, tell=tell),
        "checks": checks.examine(tell=tell),
    }
    about = {"quick": quick, "load_before": load_before, "load_after": os.getloadavg(), "machine": _machine()}
    versions = {**{name: version(name) for name in _PACKAGES}, **measured["verification"].pop("versions")}
    return {**about, "versions": versions, **measured, "targets": targets(measured)}


def _machine() -> dict[str, Any]:
    system = f"{platform.system()} {platform.machine()}"
    return {
        "system": system,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "pinned": cores() is not None,
    }
