"""The security policy, and the page on what is protected, say what is so."""

import re
from pathlib import Path

import pytest

from dpop_asgi import NoncePolicy, ProofPolicy, Reason, replay
from dpop_asgi.core import credentials, proof
from dpop_asgi.tokens import jwt

ROOT = Path(__file__).resolve().parents[1]
POLICY = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def _numbered(text, heading):
    """The numbers of the rows of the table below a heading."""
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    return re.findall(r"^\| (\d) \|", section, re.MULTILINE)


def test_a_vulnerability_can_be_reported_without_an_address():
    assert "Report a vulnerability" in POLICY
    assert "@" not in POLICY


def test_each_numbered_check_is_explained():
    checks = _numbered(SECURITY, "What is checked, in this order")
    assert checks == [str(number) for number in range(1, 10)]
    assert _numbered(SECURITY, "What each check stops") == checks


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason.value) for reason in Reason])
def test_each_kind_of_rejection_is_named(reason):
    assert f"`{reason.value.partition('_')[0]}_*`" in SECURITY


def test_the_numbers_are_those_of_the_code():
    policy = NoncePolicy()
    assert f"token of at most {credentials.MAX_AUTHORIZATION_BYTES // 1024} KB" in SECURITY
    assert f"`DPoP` of at most {ProofPolicy().max_bytes // 1024} KB" in SECURITY
    assert f"{(policy.grace + 1.2) * policy.period:g} s by default" in SECURITY
    assert f"header ({proof.CACHED_HEADERS})" in SECURITY
    assert f"the token ({jwt.CACHED_TOKENS})" in SECURITY
    assert (replay.MARGIN_SECONDS, "ten seconds" in SECURITY) == (10.0, True)
    assert (replay._VALUE_BYTES, "six random bytes" in SECURITY) == (6, True)
