"""Many things at once, some of which are cancelled at a random point, and what must not be left behind."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

# Far beyond what a busy machine needs: whatever takes so long hangs.
HANGS_AFTER = 30.0

CANCELLED: Any = object()


class Chaos:
    """Cancels by dice, and listens to what the event loop complains about.

    Args:
        dice: what it cancels by.
        share: of what is cancelled.
        turns: of the event loop, after which at the latest.
    """

    def __init__(self, dice: Random, *, share: float = 0.5, turns: int = 40) -> None:
        self._dice, self._share, self._turns = dice, share, turns
        self.complaints: list[dict[str, Any]] = []

    async def all_of(self, actions: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Any]:
        """Run them at once: what each gave, or `CANCELLED`."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.complaints.append(context))
        tasks = [asyncio.create_task(action()) for action in actions]
        chosen = [task for task in tasks if self._dice.random() < self._share]
        cancellers = [asyncio.create_task(_cancel(task, self._dice.randrange(self._turns))) for task in chosen]
        async with asyncio.timeout(HANGS_AFTER):
            in_time = await asyncio.gather(*cancellers)
            await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in chosen] == in_time, "somebody swallowed a cancellation"
        return [CANCELLED if task.cancelled() else task.result() for task in tasks]

    async def check_nothing_is_left(self) -> None:
        """No task, and no complaint of the event loop about one."""
        async with asyncio.timeout(HANGS_AFTER):
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
        gc.collect()
        await asyncio.sleep(0)
        assert self.complaints == []


async def _cancel(task: asyncio.Task[Any], turns: int) -> bool:
    """Whether there still was something to cancel."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return task.cancel()
