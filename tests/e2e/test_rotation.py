"""What judges how often clients are challenged."""

import pytest

from tests.e2e.rotation import undue_challenges

CHALLENGE = 'DPoP error="use_dpop_nonce"'


def _wire(*times):
    """Requests that begin then; those with a minus sign are challenged."""
    return [
        {"asked_at": abs(at), "answered_at": abs(at) + 0.01, "challenge": CHALLENGE if at < 0 else None} for at in times
    ]


@pytest.mark.parametrize(
    ("wire", "undue"),
    [
        pytest.param(_wire(-1.0, 1.02, 2.0, 3.0), 0, id="the first"),
        pytest.param(_wire(-1.0, -1.0, -1.0, 1.02), 0, id="several at once"),
        pytest.param(_wire(-1.0, -1.02, 1.04), 1, id="a second"),
        pytest.param(_wire(-1.0, 1.02, -2.0, 2.02), 1, id="within a life"),
        pytest.param(_wire(-1.0, 1.02, -2.3, 2.32), 0, id="after a gap"),
    ],
)
def test_a_challenge_is_undue_while_the_nonce_of_an_earlier_response_lives(wire, undue):
    assert len(undue_challenges(wire, period=1.0)) == undue
