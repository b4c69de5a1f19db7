"""What a route needs besides a valid token."""

import pytest

from dpop_asgi import InsufficientAuthentication, InsufficientScope, Refusal, Requirement
from dpop_asgi.core.authorization import authorize

NOW = 1_700_000_000.0
GOOD = {"acr": "urn:loa:2", "auth_time": NOW - 300}
STEP_UP = Requirement(acr_values=["urn:loa:3", "urn:loa:2"], max_age=300)
BOTH = STEP_UP & Requirement(["a", "b"])
ACR = {"acr_values": "urn:loa:3 urn:loa:2", "max_age": "300"}


@pytest.mark.parametrize(
    ("needed", "scopes", "claims"),
    [
        pytest.param(Requirement(), "", {}, id="nothing"),
        pytest.param(Requirement("a"), "a b", {}, id="one-scope"),
        pytest.param(Requirement(["a", "b"]), "c b a", {}, id="all-scopes"),
        pytest.param(BOTH, "a b", GOOD, id="all"),
        pytest.param(BOTH, "a b", {**GOOD, "auth_time": NOW + 60}, id="signed-in-by-a-fast-clock"),
        pytest.param(Requirement(acr_values="urn:loa:2"), "", {"acr": "urn:loa:2"}, id="one-acr"),
    ],
)
def test_a_token_is_enough(needed, scopes, claims):
    authorize(needed, frozenset(scopes.split()), claims, NOW)


@pytest.mark.requirement("R-9470-01", "R-9470-02", "R-9110-04")
@pytest.mark.parametrize(
    ("needed", "scopes", "claims", "kind", "told"),
    [
        pytest.param(Requirement("a"), "", {}, InsufficientScope, {"scope": "a"}, id="no-scope"),
        pytest.param(Requirement(["a", "b"]), "a", {}, InsufficientScope, {"scope": "a b"}, id="one-of-two-scopes"),
        pytest.param(Requirement("a"), "A ab", {}, InsufficientScope, {"scope": "a"}, id="other-scopes"),
        pytest.param(BOTH, "a", GOOD, InsufficientScope, {"scope": "a b"}, id="only-the-scope"),
        *(
            pytest.param(BOTH, "a b", {**GOOD, **claims}, InsufficientAuthentication, ACR, id=f"step-up-{number}")
            for number, claims in enumerate(
                [
                    *(
                        {"acr": acr}
                        for acr in ("urn:loa:1", "urn:loa:3 urn:loa:2", "URN:LOA:2", ["urn:loa:2"], 2, None)
                    ),
                    *({"auth_time": at} for at in (NOW - 301, str(NOW), True, None, float("nan"), float("inf"))),
                    {"acr": "urn:loa:1", "auth_time": 0},
                ]
            )
        ),
        pytest.param(
            BOTH, "b", {}, InsufficientAuthentication, {**ACR, "scope": "a b"}, id="no-claims-and-too-few-scopes"
        ),
    ],
)
def test_a_token_is_not_enough(needed, scopes, claims, kind, told):
    with pytest.raises(Refusal) as refused:
        authorize(needed, frozenset(scopes.split()), claims, NOW)
    assert (type(refused.value), refused.value.parameters) == (kind, told)


def test_two_requirements_are_one_that_is_as_strict_as_both():
    first = Requirement(["a", "b"], ["x", "y", "z"], 300)
    assert first & Requirement(["b", "c"], ["z", "y"], 60, bearer=False) == Requirement(
        ["a", "b", "c"], ["y", "z"], 60, bearer=False
    )
    assert first & Requirement() == Requirement() & first == first


@pytest.mark.requirement("R-9470-03")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"scopes": "a b"}, "scopes", id="scopes-in-one-string"),
        pytest.param({"scopes": ["a", 'b"']}, "scopes", id="a-scope-with-a-quote"),
        pytest.param({"acr_values": "a b"}, "acr_values", id="acr-values-in-one-string"),
        *(pytest.param({"max_age": age}, "max_age", id=f"max-age-{age}") for age in (0, -1, 1.5, "60", True)),
        pytest.param({"bearer": None}, "bearer", id="bearer"),
    ],
)
def test_a_requirement_that_cannot_be_is_rejected(options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        Requirement(**options)


def test_requirements_that_nothing_meets_are_rejected():
    with pytest.raises(ValueError, match=r"^acr_values: "):
        Requirement(acr_values="x") & Requirement(acr_values="y")
