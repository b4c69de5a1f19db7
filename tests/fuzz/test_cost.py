"""Z08: nothing before the signature costs more than two verifications of one, whatever is sent within the limits.

The dearest requests that were found, of before and of now. `python -m tests.fuzz --cost` looks for dearer ones.
"""

import re
from random import Random

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.cost import climb
from tests.fuzz.cost.scale import MOST_VERIFICATIONS, Scale
from tests.fuzz.cost.shapes import ORDINARY, PIECES, Shape, scope_of

# It fails only when it was dear each time.
ROUNDS = 300

# Within what is normalised at all: just below the bounds of a path.
ODD = (("%c3", 30), ("%41", 29), ("[", 1), ("]", 1), ("|", 1), ("^", 1), ("a", 800))
DOTS = (("a/../", 15), ("%2e%2e/", 16), ("a", 800))
FULL_TOKEN = (("a", 16384),)
FIELDS = (("x", 95),)


@pytest.fixture(scope="module")
def scale():
    return Scale()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"htu": (("%2e%2e/", 600),), "path": (("a", 8000),)}, id="dots-escaped-in-htu"),
        pytest.param({"htu": (("%7e", 1900),), "path": (("%7E", 2700),)}, id="escapes-in-htu-and-path"),
        pytest.param({"htu": (("[|^", 1900),), "path": (("]", 8000),)}, id="brackets-in-htu-and-path"),
        pytest.param({"htu": (("./", 2800),), "path": (("../", 2700),)}, id="dots-in-htu-and-path"),
        pytest.param({"htu": (("/", 5700),), "path": (("/", 8000),)}, id="slashes-in-htu-and-path"),
        pytest.param({"htu": (("a", 5700),), "path": (("a", 8000),)}, id="long-htu-and-path"),
        pytest.param({"htu": (*ODD, ("b", 1)), "path": (*ODD, ("c", 1))}, id="escapes-up-to-the-bound"),
        pytest.param({"htu": (*DOTS, ("b", 1)), "path": (*DOTS, ("c", 1))}, id="dots-up-to-the-bound"),
        pytest.param({"htu": (("?", 1), ("x", 5700))}, id="query-in-htu"),
        pytest.param({"origin": (("h", 5700),)}, id="scheme-of-htu"),
        pytest.param({"origin": (("\u212a", 1900),)}, id="scheme-of-htu-not-ascii"),
        pytest.param({"origin": (("http://", 1), ("a.", 2800))}, id="authority-of-htu"),
        pytest.param({"origin": (("http://", 1), (",", 256))}, id="authority-of-htu-up-to-the-bound"),
        pytest.param({"text": ((",", 5700),)}, id="commas-in-text"),
        pytest.param({"text": (('\\",', 1900),)}, id="escaped-quotes-in-text"),
        pytest.param({"text": (("\\n", 2800),)}, id="escapes-in-text"),
        pytest.param({"text": (("\u00e9", 2800),)}, id="not-ascii-in-text"),
        pytest.param({"text": (("\\u2003", 900),)}, id="blank-jti"),
        pytest.param({"list": (('""', 1900),)}, id="list-of-strings"),
        pytest.param({"list": (("-1.2345678e-200", 300),)}, id="list-of-numbers"),
        pytest.param(
            {"claims": (("-1.2345678e-200", 25),), "header": (("-1.2345678e-200", 27),)}, id="numbers-up-to-the-bound"
        ),
        pytest.param({"claims": (('{"a":1}', 14),), "header": (('{"a":1}', 13),)}, id="objects-up-to-the-bound"),
        pytest.param({"claims": ((f"0.{'1' * 5000}", 1),)}, id="long-number"),
        pytest.param({"garbage": (("{", 1), ('",', 2800))}, id="quotes-and-commas"),
        pytest.param({"garbage": (("{", 1), ("\\,", 2800))}, id="escapes-and-commas"),
        pytest.param({"garbage": ((" ", 5700), ("{}", 1), (" ", 1))}, id="white-space-around"),
        pytest.param({"garbage": (('{"a":', 15), ("1", 1), ("}", 15))}, id="nested"),
        pytest.param({"garbage": (("{", 1), ('"a":1,', 30), ('"a":1}', 1))}, id="one-name-many-times"),
        pytest.param({"jwk": (("_", 5700),)}, id="long-number-in-jwk"),
        pytest.param({"signature": (("A", 7600),)}, id="long-signature"),
        pytest.param({"token": FULL_TOKEN}, id="long-token"),
        pytest.param({"token": (("a", 1), ("=", 16300))}, id="padded-token"),
        pytest.param({"token": (("a", 16300), ("!", 1))}, id="malformed-token"),
        pytest.param({"token": FULL_TOKEN, "text": (("x", 5700),), "fields": FIELDS}, id="all-limits"),
        pytest.param(
            {
                "token": FULL_TOKEN,
                "fields": FIELDS,
                "htu": (*ODD, ("b", 1)),
                "path": (*ODD, ("c", 1)),
                "text": (("x", 2000),),
                "claims": (("-1.2345678e-200", 25),),
                "header": (("-1.2345678e-200", 27), (f'"{"x" * 1000}"', 1)),
            },
            id="all-bounds-at-once",
        ),
    ],
)
def test_no_request_costs_much_before_its_signature(scale, parts):
    assert scale.weigh(Shape(parts=parts), rounds=ROUNDS, enough=MOST_VERIFICATIONS) <= MOST_VERIFICATIONS


def test_hops_that_a_client_made_up_cost_nothing(scale):
    shape = Shape("x-forwarded", {"hops": (("fd00::1", 99),), "fields": FIELDS})
    assert scale.weigh(shape, rounds=ROUNDS, enough=MOST_VERIFICATIONS) <= MOST_VERIFICATIONS


@pytest.mark.parametrize("family", climb.FAMILIES)
def test_all_shapes_that_are_drawn_are_within_the_limits_and_can_be_kept(scale, family):
    """And none of them gets as far as its signature, or has an answer that is no refusal."""
    random, shape = Random(family), ORDINARY
    for _ in range(20):
        shape = climb.changed(shape, family, random)
        headers = scope_of(shape)["headers"]
        assert max(len(value) for name, value in headers if name == b"dpop") <= 8192
        assert Shape.loads(shape.dumps()) == shape
        scale.weigh(shape, rounds=1)


def test_every_piece_can_be_drawn():
    drawn = set().union(*climb.FAMILIES.values())
    assert drawn == set(PIECES)


@pytest.fixture
def own_folder(monkeypatch, tmp_path):
    for name, folder in {"ROOT": tmp_path, "FINDINGS": tmp_path / "findings", "_DEAREST": tmp_path / "dearest"}.items():
        monkeypatch.setattr(climb, name, folder)
    # How exactly the dearest are weighed in the end is not what is tested.
    monkeypatch.setattr(climb, "_LAST_ROUNDS", 10)
    return tmp_path


def test_a_request_that_is_expensive_is_found_and_kept(own_folder, monkeypatch, capsys):
    """Dear is here what costs anything."""
    monkeypatch.setattr(climb, "MOST_VERIFICATIONS", 0.0)
    assert command.main(["--cost", "--seconds", "1", "--seed", "7"]) == 1
    told = capsys.readouterr().out
    assert "seed 7" in told
    files = re.findall(r"python -m tests\.fuzz --cost --repeat (\S+)", told)
    assert len(files) == len(climb.FAMILIES)
    assert command.main(["--cost", "--repeat", str(own_folder / files[0])]) == 1


def test_where_nothing_is_expensive_the_most_expensive_of_each_family_is_reported(own_folder, monkeypatch, capsys):
    monkeypatch.setattr(climb, "MOST_VERIFICATIONS", 1e9)
    assert command.main(["--cost", "--seconds", "1"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"seed \d+", told)
    rows = re.findall(r"^(\w+) +[\d,]+ +[\d.]+  none$", told, re.MULTILINE)
    assert rows == list(climb.FAMILIES)
    assert sorted(file.stem for file in (own_folder / "dearest").iterdir()) == sorted(climb.FAMILIES)
