import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dpop_asgi.cli import main
from dpop_asgi.cli.app import app


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--help"], 0, ["demo", "--version"]),
        (["demo", "--help"], 0, ["--store", "--serve", "memory://"]),
        (["demo", "--nonsense"], 2, ["--nonsense"]),
        (["check", "--yaml"], 2, ["--yaml"]),
    ],
    ids=repr,
)
def test_the_help_and_usage_errors_name_commands_and_options(arguments, code, named):
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, color=False)
    assert done.exit_code == code
    assert [word for word in named if word not in re.sub(r"\x1b\[[\d;]*m", "", done.output)] == []


def _commands(group, *path):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(command, *path, name)


@pytest.mark.parametrize("command", [*_commands(get_command(app))], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns(command):
    helped = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert helped.exit_code == 0
    assert [line for line in helped.output.splitlines() if len(line) > 80] == []


def test_the_version_is_that_of_the_package():
    assert run(sys.executable, "-m", "dpop_asgi.cli", "--version").stdout == f"dpop-asgi {version('dpop-asgi')}\n"


EXTRA = ["rich", "typer", "uvicorn", "websockets"]
TOLD = "The command line needs the 'cli' extra: pip install 'dpop-asgi[cli]'"


@pytest.mark.parametrize("missing", EXTRA)
def test_without_a_part_of_the_extra_one_sentence_says_how_to_get_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as told:
        main()
    assert told.value.code == TOLD


def test_without_the_extra_nothing_else_is_said():
    program = f"import sys; sys.modules |= dict.fromkeys({EXTRA}); from dpop_asgi.cli import main; main()"
    ran = run(sys.executable, "-c", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"{TOLD}\n")
