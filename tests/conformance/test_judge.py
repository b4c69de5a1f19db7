"""The judge of all answers lets good ones pass and none of the bad ones."""

from email.utils import formatdate

import pytest

from tests.conformance.judge import ALGORITHMS, judge
from tests.conformance.rows import row
from tests.support.wire import Response

DESCRIPTION = "The DPoP proof must contain the nonce from the DPoP-Nonce header"
SENT = b"DPoP abcdefghijklmnop"


def refusal(status=401, body=b"{}", **changes):
    fields = {
        "Date": formatdate(usegmt=True),
        "WWW-Authenticate": f'DPoP error="use_dpop_nonce", error_description="{DESCRIPTION}", algs="{ALGORITHMS}"',
        "DPoP-Nonce": "nonce",
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [(name, one) for name, value in fields.items() for one in ([value] if isinstance(value, str) else value)]
    return Response(status, tuple(lines), body)


def challenge(text):
    return refusal(**{"WWW-Authenticate": text})


def test_a_good_rejection_passes():
    judge(refusal(), [SENT], nonces=True)


@pytest.mark.parametrize(
    "answer",
    [
        row(refusal(DPoP_Nonce=["a", "b"]), name="C-45 a second nonce"),
        row(refusal(DPoP_Nonce='no"nonce'), name="C-45 a nonce with a quote"),
        row(refusal(DPoP_Nonce=[]), name="C-46 a demand without a nonce"),
        row(refusal(Date=[]), name="C-49 no date"),
        row(refusal(Date=formatdate(0, usegmt=True)), name="C-49 an old date"),
        row(challenge([]), name="C-50 no challenge"),
        row(challenge("DPoP"), name="C-50 a bare scheme"),
        row(challenge(f'DPoP algs="{ALGORITHMS}", error="x", error_description="y"'), name="C-50 error not first"),
        row(challenge(f'DPoP error=x, error_description="y", algs="{ALGORITHMS}"'), name="C-50 unquoted"),
        row(challenge(f'DPoP error="x", error_description="a, b c", algs="{ALGORITHMS}"'), name="C-50 a comma"),
        row(challenge(f'DPoP error="x", error="x", error_description="y", algs="{ALGORITHMS}"'), name="error twice"),
        row(challenge(f'DPoP algs="{ALGORITHMS}", Bearer realm="api"'), name="two challenges on one line"),
        row(challenge('DPoP error="x", error_description="y"'), name="no algs"),
        row(refusal(status=404), name="a challenge on another status"),
        row(refusal(Cache_Control="max-age=5"), name="cacheable"),
        row(refusal(body=b'{"error": "abcdefghijklmnop"}'), name="an echo in the body"),
        row(refusal(X="abcdefghijklmnop"), name="an echo in a field"),
    ],
)
def test_a_bad_answer_does_not(answer):
    with pytest.raises((AssertionError, ValueError)):
        judge(answer, [SENT], nonces=True)


def test_a_nonce_where_nonces_are_off_does_not_pass():
    with pytest.raises(AssertionError):
        judge(refusal(), [SENT], nonces=False)
