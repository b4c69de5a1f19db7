"""One task for all callers that want the same result at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs a coroutine function, unless a run is under way already.

    Await the task through `asyncio.shield` or `asyncio.wait`: a caller that is cancelled must not cancel it for the
    others. Where all callers were cancelled its exception counts as retrieved.

    Args:
        run: what is run.
        done: called with each task that has ended.

    Attributes:
        task: the last one, of whichever event loop.
    """

    def __init__(
        self, run: Callable[..., Coroutine[Any, Any, T]], done: Callable[[asyncio.Task[T]], None] | None = None
    ) -> None:
        self._run = run
        self._done = done
        self.task: asyncio.Task[T] | None = None

    def under_way(self) -> asyncio.Task[T] | None:
        """The task that is under way; one that was left over from another event loop would never end."""
        task = self.task
        usable = task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()
        return task if usable else None

    def start(self, *arguments: object) -> asyncio.Task[T]:
        """The task that is under way, or else a new one with these arguments."""
        task = self.under_way()
        if task is None:
            task = self.task = asyncio.get_running_loop().create_task(self._run(*arguments))
            task.add_done_callback(self._ended)
        return task

    async def aclose(self) -> None:
        """Cancel the task that is under way."""
        task = self.under_way()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()
        if self._done is not None:
            self._done(task)
