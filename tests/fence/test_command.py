"""The command of this folder can be called."""

import subprocess
import sys

from tests.fence.events import EVENTS
from tests.support.processes import ROOT


def test_the_command_names_every_event():
    told = subprocess.run(
        [sys.executable, "-m", "tests.fence", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [event.name for event in EVENTS if event.name not in told.replace("\n", "")] == []
