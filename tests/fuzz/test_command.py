"""The command as people and CI run it."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import availability
from tests.fuzz.availability import MissingError, NoWheelError, has_wheel, require_atheris
from tests.fuzz.catalogue import ROOT
from tests.support.processes import PACKAGE


def fuzz(*arguments, root=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture
def without_atheris(monkeypatch):
    monkeypatch.setattr(availability.importlib.util, "find_spec", lambda _: None)


@pytest.fixture
def private_copy(tmp_path):
    """The repository as far as the fuzzer needs it, to be broken."""
    for folder in (PACKAGE, *(ROOT / "tests" / name for name in ("differential", "fuzz", "support"))):
        target = tmp_path / ("tests" if folder != PACKAGE else "") / folder.name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_each_target_is_run_and_told_in_a_table(private_copy):
    done = fuzz("credentials", "encoding", "--executions", "3000", root=private_copy)
    if not has_wheel():
        assert (done.returncode, "no wheel" in done.stdout) == (2, True)
        return
    rows = re.findall(r"^(\w+) +([\d,]+) +[\d.]+ +[\d,]+ +[\d.]+  none$", done.stdout, re.MULTILINE)
    # libFuzzer tries what is kept, too, and may stop a little later.
    assert [name for name, _ in rows] == ["credentials", "encoding"], done.stdout
    assert all(int(count.replace(",", "")) >= 3000 for _, count in rows)
    assert done.returncode == 0


def test_a_finding_is_kept_and_the_message_says_how_to_see_it_again(private_copy):
    with (private_copy / "dpop_asgi/core/credentials.py").open("a") as module:
        module.write("\nMAX_AUTHORIZATION_BYTES = 4\n")
    done = fuzz("credentials", "--seconds", "30", root=private_copy)
    if not has_wheel():
        assert (done.returncode, "no wheel" in done.stdout) == (2, True)
        return
    assert done.returncode == 1, done.stdout
    assert "FindingError: refused as authorization_too_large" in done.stdout
    assert re.search(r"^credentials .*FINDING$", done.stdout, re.MULTILINE)
    program, *_, target, flag, file = shlex.split(re.search(r"^ +(python -m .*)$", done.stdout, re.MULTILINE)[1])
    assert (program, target, flag) == ("python", "credentials", "--repeat")
    again = fuzz(target, flag, file, root=private_copy)
    assert again.returncode == 1
    assert "FindingError: refused as authorization_too_large" in again.stderr


def test_one_input_can_be_tried_without_the_fuzzer(capsys, without_atheris):
    file = ROOT / "tests/fuzz/corpus/credentials/all-correct"
    assert command.main(["credentials", "--repeat", str(file)]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_where_there_is_no_wheel_it_says_so(capsys, without_atheris, monkeypatch):
    monkeypatch.setattr(availability, "has_wheel", lambda: False)
    with pytest.raises(NoWheelError, match="nothing was fuzzed: atheris has no wheel for"):
        require_atheris()
    assert command.main([]) == 2
    assert command.main(["--where-possible"]) == 0
    assert capsys.readouterr().out.count("nothing was fuzzed") == 2


def test_where_there_is_a_wheel_it_must_be_installed(capsys, without_atheris, monkeypatch):
    monkeypatch.setattr(availability, "has_wheel", lambda: True)
    with pytest.raises(MissingError, match="nothing was fuzzed: atheris is not installed"):
        require_atheris()
    assert command.main(["--where-possible"]) == 2
    assert "python3 -m tests --setup-only" in capsys.readouterr().out
