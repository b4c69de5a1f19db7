"""Bugs that other implementations had or have, that no other folder would test; `known_bugs.md` lists all.

Above each test: who had it. "read" means that it stands in their code as read, and "run" that it was tried.
"""

import re

import pytest

from dpop_asgi import Reason
from tests.support.processes import ROOT

BY_HOST = {"public_url": None, "allowed_hosts": ["rs.example", "r", "other"]}


def test_what_is_listed_is_tested():
    tests = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    listed = re.findall(r"^\| `(\w+)`", (ROOT / "tests/hostile/known_bugs.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name in listed if f"def {name}(" not in tests] == []


# zeroid #193, #272: of a gateway's own request to us, fields of the client chose method and URI. auth0-fastapi-api
# takes the first value of X-Forwarded-*, and a prefix, when told to trust a proxy.
@pytest.mark.parametrize(
    "name",
    ["X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Host",
     "X-Forwarded-Proto", "X-Forwarded-Method", "X-Original-Method", "X-HTTP-Method-Override", "X-Original-Host",
     "X-Host", "Forwarded"],
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, BY_HOST], ids=["public-url", "hosts"])
async def test_no_header_of_the_request_chooses_method_or_uri(make_api, options, name):
    api = make_api(**options)
    for value in ("/other", "POST", "other", "http", "host=other;proto=http"):
        also = [(name, value)]
        assert await api.passes(also=also)
        assert await api.reason(also=also, claimed="/other") is Reason.TARGET_MISMATCH
        assert await api.reason(also=also, claimed="http://other/r") is Reason.TARGET_MISMATCH
        assert await api.reason(also=also, claims={"htm": "POST"}) is Reason.METHOD_MISMATCH


# streamplace/oatproxy #7: compared with a header field; WSO2 accelerator #958: the result of the check was not used.
async def test_the_nonce_in_the_proof_counts_and_not_one_in_a_header(api):
    good = await api.authenticator.challenge_nonce()
    also = [("dpop-nonce", good)]
    assert await api.reason(nonce="invented", also=also) is Reason.NONCE_UNKNOWN
    assert await api.reason(nonce=None, also=also) is Reason.NONCE_MISSING


# express-oauth2-dpop (read): a nonce that belongs to one token is refused with the next.
async def test_a_nonce_outlives_the_token_that_it_was_first_sent_with(api):
    nonce = await api.authenticator.challenge_nonce()
    for _ in range(2):
        assert await api.passes(nonce=nonce, token=api.issuer.access_token(api.client))


# dedalus-mcp (read): `fail_open` lets anything in.
async def test_a_verifier_that_fails_lets_nobody_in(make_api):
    async def verify(_):
        raise KeyError("a bug of its own")

    api = make_api(verify_token=verify)
    with pytest.raises(KeyError):
        await api.ask()
    assert api.inner.scopes == []
