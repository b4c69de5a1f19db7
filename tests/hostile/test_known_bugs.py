"""Bugs that other implementations had or have, that no other folder would test; `known_bugs.md` lists all.

Above each test: who had it. "read" means that it stands in their code as read, and "run" that it was tried.
"""

import re

import pytest

from dpop_asgi import Reason, RedisStore
from tests.support.processes import ROOT

BY_HOST = {"public_url": None, "allowed_hosts": ["rs.example", "r", "other"]}
JTI = {"jti": "the-one-jti"}


def test_what_is_listed_is_tested():
    tests = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    listed = re.findall(r"^\| `(\w+)`", (ROOT / "tests/hostile/known_bugs.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name in listed if f"def {name}(" not in tests] == []


# joserfc before 1.3.5 and 1.4.2 (CVE-2025-65015): the error about the size held the token.
@pytest.mark.parametrize("name", ["Authorization", "DPoP"])
async def test_what_is_too_large_is_not_repeated_in_the_rejection(api, caplog, name):
    caplog.set_level("DEBUG")
    value = "DPoP "[: 5 * (name == "Authorization")] + "marked" * 3000
    answer = await api.ask(drop={name}, also=[(name, value)])
    assert api.decisions[0].reason in {Reason.AUTHORIZATION_TOO_LARGE, Reason.PROOF_TOO_LARGE}
    assert "marked" not in f"{answer} {caplog.text}"


# zeroid #193, #272: of a gateway's own request to us, fields of the client chose method and URI. auth0-fastapi-api
# takes the first value of X-Forwarded-*, and a prefix, when told to trust a proxy.
@pytest.mark.parametrize(
    "name",
    ["X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Host",
     "X-Forwarded-Proto", "X-Forwarded-Method", "X-Original-Method", "X-HTTP-Method-Override", "Forwarded"],
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


# AuthPlane: the text of the error held the nonce that was expected.
async def test_the_nonce_is_reported_in_its_header_alone(api):
    answer = await api.ask(nonce="invented")
    offered = answer.one("dpop-nonce")
    rest = [value for name, value in answer.headers if name != b"dpop-nonce"]
    assert offered not in f"{rest} {answer.body}"
    assert "invented" not in str(answer)


# express-oauth2-dpop (read): a nonce that belongs to one token is refused with the next.
async def test_a_nonce_outlives_the_token_that_it_was_first_sent_with(api):
    nonce = await api.authenticator.challenge_nonce()
    for _ in range(2):
        assert await api.passes(nonce=nonce, token=api.issuer.access_token(api.client))


@pytest.fixture
async def two_hosts(make_api, redis_server):
    """Two processes of one service, as far as they know of one another."""
    stores = [RedisStore(redis_server.url, timeout=10.0) for _ in range(2)]
    yield [make_api(store=store) for store in stores]
    for store in stores:
        await store.aclose()


# atproto (read): `SET … GET` without `NX` puts the replay in the place of the first use, and starts its time anew.
async def test_a_replay_does_not_prolong_the_memory_of_the_first_use(two_hosts, redis_server):
    assert await two_hosts[0].passes(claims=JTI)
    with redis_server.client() as redis:
        (key,) = redis.keys("*:jti:*")
        redis.pexpire(key, 30_000)
        first = redis.get(key)
        assert await two_hosts[1].reason(claims=JTI) is Reason.PROOF_REPLAYED
        assert redis.get(key) == first
        assert redis.pttl(key) <= 30_000


# dedalus-mcp (read): `fail_open` lets anything in.
async def test_a_verifier_that_fails_lets_nobody_in(make_api):
    async def verify(_):
        raise KeyError("a bug of its own")

    api = make_api(verify_token=verify)
    with pytest.raises(KeyError):
        await api.ask()
    assert api.inner.scopes == []
