"""Whether this process is one of several workers, as far as it can tell from inside.

A server's own frames are further up the stack, both while it imports the app and while it serves it, and their
variables hold its configuration. Tested with uvicorn 0.54, gunicorn 27.0, hypercorn 0.18 and granian 2.8:

| server | variable | attribute |
| --- | --- | --- |
| uvicorn, `fastapi` | `config`, `self.config` | `workers`; with `should_reload` there is one, whatever it says |
| gunicorn, also preloaded | `self.cfg` | `workers`, with a reloader too |
| hypercorn | `config` | `workers`, with a reloader too; it starts a process even for one |
| granian, if it forks | `self` | `workers` |
| granian, if it spawns | `worker_id` | none, but an ID above 1 means that there are others |
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SERVERS = frozenset({"granian", "gunicorn", "hypercorn", "uvicorn", "uvicorn_worker"})


def several_workers(*, made_in: int) -> bool:
    """Whether other workers seem to run beside this process.

    Args:
        made_in: the ID of the process that created the store. If it is another one, this process was forked, and
            most likely not just once.
    """
    configured = list(_workers_on_the_stack())
    if configured:
        return max(configured) > 1
    concurrency = os.environ.get("WEB_CONCURRENCY", "")
    forked = made_in != os.getpid()
    return forked or (concurrency.isdigit() and int(concurrency) > 1) or multiprocessing.parent_process() is not None


def _workers_on_the_stack() -> Iterator[int]:
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
