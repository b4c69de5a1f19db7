import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dpop_asgi.cli.app import app


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_help_names_the_commands():
    helped = run(sys.executable, "-m", "dpop_asgi.cli", "--help")
    assert helped.returncode == 0
    assert "demo" in helped.stdout
    assert "--version" in helped.stdout


def _commands(group, *path):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(command, *path, name)


@pytest.mark.parametrize("command", [*_commands(get_command(app))], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns(command):
    helped = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert helped.exit_code == 0
    assert [line for line in helped.output.splitlines() if len(line) > 80] == []


def test_the_help_of_the_demo_names_its_options():
    helped = run(sys.executable, "-m", "dpop_asgi.cli", "demo", "--help")
    assert helped.returncode == 0
    assert all(option in helped.stdout for option in ("--store", "--serve", "memory://"))


def test_the_version_is_that_of_the_package():
    assert run(sys.executable, "-m", "dpop_asgi.cli", "--version").stdout == f"dpop-asgi {version('dpop-asgi')}\n"


def test_an_unknown_option_is_a_usage_error():
    assert run(sys.executable, "-m", "dpop_asgi.cli", "demo", "--nonsense").returncode == 2


@pytest.mark.parametrize("missing", ["rich", "typer", "uvicorn", "websockets"])
def test_without_the_extra_one_sentence_says_how_to_get_it(missing):
    program = f"import sys; sys.modules[{missing!r}] = None; from dpop_asgi.cli import main; main()"
    ran = run(sys.executable, "-c", program)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == "The command line needs the 'cli' extra: pip install 'dpop-asgi[cli]'\n"
