"""What has been collected, as hooks of pytest and tests share it, and rows of tables."""

import pytest

# In the session: all tests, also those that are deselected.
COLLECTED = pytest.StashKey[list[pytest.Item]]()


def all_collected(config: pytest.Config) -> bool:
    """Whether the whole suite was, and not only what is at some paths."""
    of_worker: dict[str, bool] = getattr(config, "workerinput", {})
    return of_worker.get("all_collected", config.args_source is not config.ArgsSource.ARGS)


def over(limit: int) -> pytest.MarkDecorator:
    """Two rows for a test of a bound: at it and over it."""
    return pytest.mark.parametrize(("size", "over"), [(limit, False), (limit + 1, True)], ids=["at", "over"])
