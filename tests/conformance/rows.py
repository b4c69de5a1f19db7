"""Rows of tables of tests."""

from typing import Any

import pytest


def row(*values: Any, name: str, proves: str = "") -> Any:
    """Values of one row, its name, and the requirements that it proves beyond what the whole table does."""
    marks = [pytest.mark.requirement(*proves.split())] if proves else []
    return pytest.param(*values, id=name.encode("ascii", "backslashreplace").decode(), marks=marks)
