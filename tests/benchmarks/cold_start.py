"""How long the import takes, what it brings, and how long the first requests take."""

import re
import subprocess
import sys
import time
from collections import Counter

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, Worker, run
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastClient, FastIssuer, fields_of
from tests.benchmarks.rounds import requests
from tests.benchmarks.subjects import nonce_of, protected
from tests.support.processes import ROOT

SECTION = "cold start"
EXTRAS = ("fastapi", "opentelemetry", "rich", "typer", "uvicorn", "websockets")
_TIMED = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
# Notes who imports an extra: what a dependency takes where it finds it is not ours to say.
_NOTED = """
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"].startswith("importlib"):
            frame = frame.f_back
        if frame.f_globals["__name__"].partition(".")[0] == "dpop_asgi":
            print(name.partition(".")[0])
sys.meta_path.insert(0, Watch())
import {}
"""
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
_LATER = 200


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)


def import_seconds(module: str, times: int) -> list[float]:
    """In a new process each time, with compiled files at hand."""
    return [float(_python("-c", _TIMED.format(module)).stdout) for _ in range(times)]


def imported_extras(module: str = "dpop_asgi") -> list[str]:
    """Packages behind extras that a module of ours imports, when `module` is imported."""
    return sorted(set(_python("-c", _NOTED.format(module)).stdout.split()) & set(EXTRAS))


def dearest(count: int) -> list[tuple[str, float]]:
    """The packages whose modules take longest by themselves, in milliseconds."""
    spent: Counter[str] = Counter()
    for microseconds, module in _LINE.findall(_python("-X", "importtime", "-c", "import dpop_asgi").stderr):
        spent[module.partition(".")[0]] += int(microseconds)
    return [(name, microseconds / 1000) for name, microseconds in spent.most_common(count)]


def first_requests() -> dict[str, float]:
    """Seconds of the first challenge, the first accepted request and later ones; runs in a new process."""
    issuer = FastIssuer()
    client = FastClient(issuer, now=time.time())

    async def measured() -> dict[str, float]:
        began = time.perf_counter()
        app = protected(MemoryStore(), issuer.jwks)
        made = time.perf_counter()
        nonce = await nonce_of(app, client.fields(now=time.time(), nonce=None))
        challenged = time.perf_counter()
        asked = requests(app, fields_of([client], 1 + _LATER, now=time.time(), nonce=nonce), status=200)
        seconds = []
        for one in asked.arrived(0):
            before = time.perf_counter()
            await asked.run([one])
            seconds.append(time.perf_counter() - before)
        found = {"the middleware made": made - began, "first challenge": challenged - made}
        return {**found, "first accepted request": seconds[0], "later ones": Spread.of(seconds[1:]).middle}

    return run(measured)


def run_section(bench: Bench) -> None:
    times = bench.size(9, 2)
    rows = []
    for module in ("dpop_asgi", "starlette.applications", "redis.asyncio", "joserfc.jwk", "httpx2"):
        bench.step(f"import {module}")
        rows.append((f"import {module}", round(Spread.of(import_seconds(module, times)).middle * 1e3, 1)))
    rows += [(f"of that in modules of {name}", round(milliseconds, 1)) for name, milliseconds in dearest(8)]
    seen: dict[str, list[float]] = {}
    for number in range(times):
        bench.step(f"first request {number + 1}")
        with Worker(cores.tested()) as worker:
            for what, seconds in worker.call(first_requests).items():
                seen.setdefault(what, []).append(seconds)
    rows += [(what, round(Spread.of(seconds).middle * 1e3, 3)) for what, seconds in seen.items()]
    bench.results.tables.append(Table("Cold start, in new processes", ("what", "ms"), rows))
    bench.results.add(SECTION, "extras that `import dpop_asgi` brings", len(imported_extras()), "packages", at_most=0)
