"""The numbers by which proofs are judged."""

import pytest

from dpop_asgi import ProofPolicy


@pytest.mark.requirement("R-4.2-02")
@pytest.mark.parametrize(
    "algorithms",
    [
        pytest.param(("ES256", "none"), id="none"),
        pytest.param(("es256",), id="other-case"),
        pytest.param(("ES256", ""), id="empty-name"),
        pytest.param((), id="nothing"),
        pytest.param((5,), id="number"),
    ],
)
def test_a_policy_with_an_algorithm_that_does_not_protect_cannot_be_made(algorithms):
    with pytest.raises(ValueError, match=r"^algorithms: "):
        ProofPolicy(algorithms=algorithms)


@pytest.mark.parametrize("option", ["max_age", "max_future", "max_bytes"])
@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "300", True, None], ids=repr)
def test_a_number_that_makes_no_sense_is_named(option, value):
    with pytest.raises(ValueError, match=f"^{option}: "):
        ProofPolicy(**{option: value})


def test_an_age_of_zero_would_reject_everything():
    with pytest.raises(ValueError, match=r"^max_age: "):
        ProofPolicy(max_age=0)


@pytest.mark.requirement("R-4.2-03")
@pytest.mark.parametrize(
    "policy", [ProofPolicy(), ProofPolicy.fapi2(), ProofPolicy.mcp()], ids=["default", "fapi2", "mcp"]
)
def test_the_named_policies_list_what_fapi_allows(policy):
    assert policy.algorithms == ("ES256", "PS256", "Ed25519", "EdDSA")


def test_a_list_of_algorithms_may_be_any_iterable_or_one_name():
    assert ProofPolicy(algorithms=["RS256", "ES512"]).algorithms == ("RS256", "ES512")
    assert ProofPolicy(algorithms="ES384").algorithms == ("ES384",)
