"""Whether this process is one of several workers, as far as that can be seen from inside it.

Servers show themselves on the stack, while the app is imported and while it serves: their own calls are further down,
with the configuration at hand. Tried with uvicorn 0.54, gunicorn 27.0, hypercorn 0.18 and granian 2.8:

| server | variable | attribute |
| --- | --- | --- |
| uvicorn, `fastapi` | `config`, `self.config` | `workers`; with `should_reload` it is one, whatever else is asked for |
| gunicorn, also preloaded | `self.cfg` | `workers`, with a reloader too |
| hypercorn | `config` | `workers`, with a reloader too; it starts a process even for one |
| granian, where it forks | `self` | `workers` |
| granian, where it spawns | `worker_id` | none, but the second knows that it is not the only one |
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SERVERS = frozenset({"granian", "gunicorn", "hypercorn", "uvicorn", "uvicorn_worker"})


def several_workers(*, made_in: int) -> bool:
    """Whether others seem to run beside this process.

    Args:
        made_in: the process in which the store was made; in another one, it was forked, and most likely not once.
    """
    known = list(_told_by_the_server())
    if known:
        return max(known) > 1
    asked = os.environ.get("WEB_CONCURRENCY", "")
    forked = made_in != os.getpid()
    return forked or (asked.isdigit() and int(asked) > 1) or multiprocessing.parent_process() is not None


def _told_by_the_server() -> Iterator[int]:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - inspect.stack would read the source files
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in _SERVERS:
            yield from _workers(frame.f_locals)
        frame = frame.f_back


def _workers(variables: Any) -> Iterator[int]:  # noqa: ANN401 - a mapping of anything
    server = variables.get("self")
    for holder in (server, variables.get("config"), getattr(server, "config", None), getattr(server, "cfg", None)):
        workers = getattr(holder, "workers", None)
        if type(workers) is int:
            yield 1 if getattr(holder, "should_reload", False) else workers
    if type(worker_id := variables.get("worker_id")) is int:
        yield worker_id
