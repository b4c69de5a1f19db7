"""The command as people and CI run it."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.catalogue import ROOT
from tests.support.processes import PACKAGE

REFUSED = "FindingError: refused as authorization_too_large"


@pytest.fixture
def broken_copy(tmp_path):
    """The repository as far as the fuzzer needs it, with a library that refuses every token."""
    for folder in (PACKAGE, *(ROOT / "tests" / name for name in ("differential", "fuzz", "support"))):
        target = tmp_path / ("tests" if folder != PACKAGE else "") / folder.name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "dpop_asgi/core/credentials.py").open("a") as module:
        module.write("\nMAX_AUTHORIZATION_BYTES = 4\n")
    return tmp_path


def test_a_finding_is_kept_and_the_message_says_how_to_see_it_again(broken_copy, monkeypatch):
    pytest.importorskip("atheris")
    fuzz = [sys.executable, "-m", "tests.fuzz", "credentials", "--seconds", "30"]
    done = subprocess.run(fuzz, cwd=broken_copy, capture_output=True, text=True, check=False)
    assert (done.returncode, REFUSED in done.stdout) == (1, True), done.stdout
    *_, target, flag, file = shlex.split(re.search(r"^ +(python -m .*)$", done.stdout, re.MULTILINE)[1])
    monkeypatch.setattr("dpop_asgi.core.credentials.MAX_AUTHORIZATION_BYTES", 4)
    with pytest.raises(AssertionError, match="refused as authorization_too_large"):
        command.main([target, flag, str(broken_copy / file)])


def test_without_the_fuzzer_one_input_can_be_tried_and_the_rest_is_not_done(capsys, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda _: None)
    assert command.main(["credentials", "--repeat", str(ROOT / "tests/fuzz/corpus/credentials/all-correct")]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert (command.main([]), command.main(["--where-possible"])) == (2, 0)
    assert capsys.readouterr().out.count("nothing was fuzzed") == 2
