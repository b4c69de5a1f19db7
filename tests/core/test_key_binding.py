"""Codes and refresh tokens are bound to a key."""

import pytest

from dpop_asgi import InvalidGrant, InvalidRequest, Reason, check_grant_key, requested_key
from dpop_asgi.core.encoding import b64url_encode

KEY, OTHER = b64url_encode(b"k" * 32), b64url_encode(b"o" * 32)


@pytest.mark.requirement("R-11.9-01")
@pytest.mark.parametrize(
    ("dpop_jkt", "proven", "bound_to"),
    [
        pytest.param(None, None, None, id="neither"),
        pytest.param(KEY, None, KEY, id="parameter"),
        pytest.param(None, KEY, KEY, id="proof"),
        pytest.param(KEY, KEY, KEY, id="both"),
    ],
)
def test_a_code_is_bound_to_the_key_that_the_request_names_or_proves(dpop_jkt, proven, bound_to):
    assert requested_key(dpop_jkt, proven) == bound_to


@pytest.mark.requirement("R-11.9-01", "R-4.2-13")
@pytest.mark.parametrize(
    ("dpop_jkt", "proven", "reason"),
    [
        pytest.param(KEY, OTHER, Reason.DPOP_JKT_MISMATCH, id="another-key"),
        pytest.param("", None, Reason.DPOP_JKT_MALFORMED, id="empty"),
        pytest.param(KEY[:-1], None, Reason.DPOP_JKT_MALFORMED, id="short"),
        pytest.param(KEY + "\n", KEY, Reason.DPOP_JKT_MALFORMED, id="line-feed"),
        pytest.param(KEY[:-1] + "t", None, Reason.DPOP_JKT_MALFORMED, id="loose-bits"),
        pytest.param("\u20ac" + KEY[1:], KEY, Reason.DPOP_JKT_MALFORMED, id="not-ascii"),
        pytest.param(f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{KEY}", KEY, Reason.DPOP_JKT_MALFORMED, id="urn"),
    ],
)
def test_a_dpop_jkt_is_rejected(dpop_jkt, proven, reason):
    with pytest.raises(InvalidRequest) as rejected:
        requested_key(dpop_jkt, proven)
    assert (rejected.value.reason, rejected.value.code) == (reason, "invalid_request")


@pytest.mark.parametrize(("bound_to", "proven"), [(None, None), (None, KEY), (KEY, KEY)])
def test_a_grant_comes_with_its_key_or_needs_none(bound_to, proven):
    check_grant_key(bound_to, proven)


@pytest.mark.requirement("R-11.9-01")
@pytest.mark.parametrize("proven", [None, OTHER, KEY[:-1]])
def test_a_bound_grant_is_rejected_without_its_key(proven):
    with pytest.raises(InvalidGrant) as rejected:
        check_grant_key(KEY, proven)
    assert (rejected.value.reason, rejected.value.code) == (Reason.GRANT_KEY_MISMATCH, "invalid_grant")
