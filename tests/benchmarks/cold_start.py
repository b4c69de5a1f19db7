"""How long the import takes, what it brings, and how long the first requests take."""

import subprocess
import sys
import time

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, run, worker
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastClient, FastIssuer, fields_of
from tests.benchmarks.rounds import requests
from tests.benchmarks.subjects import nonce_of, protected
from tests.support.processes import ROOT

SECTION = "cold start"
EXTRAS = ("fastapi", "opentelemetry", "rich", "typer", "uvicorn", "websockets")
_MODULES = ("dpop_asgi", "starlette.applications", "redis.asyncio", "joserfc.jwk", "httpx2")
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


def _printed(program: str) -> str:
    """By a new process, with compiled files at hand."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def imported_extras(module: str = "dpop_asgi") -> list[str]:
    """Packages behind extras that a module of ours imports, when `module` is imported."""
    return sorted(set(_printed(_NOTED.format(module)).split()) & set(EXTRAS))


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
        asked = requests(app, fields_of([client], 200, now=time.time(), nonce=nonce), status=200)
        seconds = []
        for one in asked.arrived(0):
            before = time.perf_counter()
            await asked.run([one])
            seconds.append(time.perf_counter() - before)
        found = {"the middleware made": made - began, "first challenge": challenged - made}
        return {**found, "first accepted request": seconds[0], "later ones": Spread.of(seconds[1:]).middle}

    return run(measured)


def run_section(bench: Bench) -> None:
    seen: dict[str, list[float]] = {}
    for number in range(bench.size(9, 2)):
        bench.step(f"start {number + 1}")
        for module in _MODULES:
            seen.setdefault(f"import {module}", []).append(float(_printed(_TIMED.format(module))))
        with worker(cores.tested()) as process:
            for what, seconds in process.submit(first_requests).result().items():
                seen.setdefault(what, []).append(seconds)
    rows = [(what, round(Spread.of(seconds).middle * 1e3, 3)) for what, seconds in seen.items()]
    bench.results.tables.append(Table("Cold start, in new processes", ("what", "ms"), rows))
    bench.results.add(SECTION, "extras that `import dpop_asgi` brings", len(imported_extras()), "packages", at_most=0)
