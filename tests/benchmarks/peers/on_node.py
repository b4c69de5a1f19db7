"""oauth4webapi on Node, in a process of its own, among the JavaScript clients of `tests/e2e`."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.benchmarks.material import ISSUER, ORIGIN, URI, Fields
from tests.benchmarks.rounds import Row
from tests.set_up import CLIENTS
from tests.support import children

_PROGRAM = Path(__file__).with_name("oauth4webapi.mjs")


@contextmanager
def oauth4webapi(node: str, jwks: dict[str, Any], fields: list[Fields]) -> Iterator[Row]:
    """As text, the program looks for its imports where it is run."""
    command = [node, "--input-type=module", "--eval", _PROGRAM.read_text(encoding="utf-8")]
    process = children.start(command, cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        _write(process.stdin, {"issuer": ISSUER, "uri": URI, "audience": ORIGIN, "jwks": jwks})
        yield Row(fields, lambda batch: _verified(process, batch), lambda one: [part.decode() for part in one])
    finally:
        process.kill()
        process.communicate()
        children.is_over(process)


async def _verified(process: "subprocess.Popen[str]", batch: list[Any]) -> float:
    """Seconds by its clock or of its processor time: other programs lengthen the first, its threads the second."""
    _write(process.stdin, batch)
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"oauth4webapi ended with {process.wait()}")
    return min(json.loads(line))


def _write(pipe: IO[str], what: Any) -> None:
    pipe.write(json.dumps(what) + "\n")
    pipe.flush()
