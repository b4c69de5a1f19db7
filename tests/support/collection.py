"""What pytest has collected, as its hooks and tests share it."""

import pytest

# In the session: all tests, also those that are deselected.
COLLECTED = pytest.StashKey[list[pytest.Item]]()


def all_collected(config: pytest.Config) -> bool:
    """Whether the whole suite was, and not only what is at some paths."""
    of_worker: dict[str, bool] = getattr(config, "workerinput", {})
    return of_worker.get("all_collected", config.args_source is not config.ArgsSource.ARGS)
