"""The shape of the code: who imports whom, and how long anything may get."""

import ast
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from tests import parts
from tests.parts import PARTS, _exit_code, of_part
from tests.support.processes import PACKAGE, ROOT

LONGEST_FILE = 250
LONGEST_FUNCTION = 40
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_import_contracts_hold():
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("part", PARTS)
def test_no_option_takes_a_path_of_a_part_of_the_suite_for_its_own(part):
    """With `--cov tests/cluster` the tests of clusters were measured, and not run."""
    arguments = of_part(part, ["--cov"])
    assert all(after.startswith("-") for option, after in pairwise(arguments) if option == "--cov")
    assert arguments[: len(PARTS[part])] == PARTS[part]


class Interrupted:
    """A pytest of which Ctrl+C is pressed while it is waited for; it ends when it is told to."""

    def __init__(self):
        self.told = []

    def send_signal(self, number):
        self.told.append(number)

    def wait(self):
        if not self.told:
            raise KeyboardInterrupt
        return 2


def test_ctrl_c_tells_each_part_of_the_suite_once_to_end(monkeypatch):
    """The second time, pytest would end without ending its servers."""
    monkeypatch.setattr("tests.parts.signal.signal", lambda *_: None)
    running = [Interrupted(), Interrupted()]
    assert _exit_code(running[0], running) == 2
    assert [each.told for each in running] == [[signal.SIGINT]] * 2


@pytest.mark.parametrize(("code", "rounds"), [(0, 2), (1, 2), (2, 1)], ids=["passed", "failed", "interrupted"])
def test_after_ctrl_c_no_other_part_begins(monkeypatch, code, rounds):
    begun = []
    monkeypatch.setattr(parts, "_run", lambda names, *_: begun.append(names) or dict.fromkeys(names, code))
    assert (parts.run_all([], {}), len(begun)) == (code, rounds)


def test_all_modules_log_through_the_logger_that_never_raises():
    """Commands set it up, and have nobody who waits."""
    makers = {path.relative_to(PACKAGE).as_posix() for path in MODULES if 'getLogger("dpop_asgi")' in path.read_text()}
    assert {maker for maker in makers if not maker.startswith("cli/")} == {"log.py"}


def test_no_file_is_longer_than_one_can_read_in_one_go():
    assert MODULES
    assert [path for path in MODULES if len(path.read_text().splitlines()) > LONGEST_FILE] == []


def test_no_function_is_longer_than_one_can_read_at_a_glance():
    functions = [
        (path, node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(path, node.name) for path, node in functions if _statement_lines(node) > LONGEST_FUNCTION] == []


def _statement_lines(function):
    """Lines without the docstring, which is as long as it needs to be."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1
