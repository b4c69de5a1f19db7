"""Rows for tests of a bound."""

import pytest


def over(limit: int) -> pytest.MarkDecorator:
    """Two rows: at the bound and over it."""
    return pytest.mark.parametrize(("size", "over"), [(limit, False), (limit + 1, True)], ids=["at", "over"])
