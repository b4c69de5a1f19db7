"""What the fuzzer was led to before is tried everywhere, with its judges but without atheris."""

import pytest

from tests.fuzz.catalogue import CORPUS, TARGETS, inputs, kept, load
from tests.fuzz.worker import check_time

RANDOM_INPUTS = 150
names = pytest.mark.parametrize("name", TARGETS)


@names
def test_nothing_is_found_in_what_is_kept_and_in_random_inputs(name):
    target = load(name)
    for data in inputs(name, RANDOM_INPUTS):
        check_time(target, data)


def test_what_is_kept_is_small_and_of_targets_that_exist():
    files = [file for name in TARGETS for file in kept(name)]
    assert sorted(file.name for file in CORPUS.iterdir()) == sorted(TARGETS)
    assert all(kept(name) for name in TARGETS)
    assert len(files) <= 200
    assert sum(file.stat().st_size for file in files) <= 100_000
