"""Bugs that other implementations had or have: what they take for a good request, or forget between requests.

Above each test: who had it. "read" means that it stands in their code as read, without an issue that names it, and
"run" that it was tried. `ELSEWHERE` names the tests for those that other folders test anyway.

Not here, since a resource server cannot have them: clients that go on with Bearer when DPoP fails (eudi-swift #336);
trust in keys that a `jwk` header names for something else than a proof (authlib, which is not used); a host that
cannot be found out and is answered with 401 or 500 (middy); a gateway that asks by a request of its own (zeroid #193,
#272). That the answers about nonces are an oracle nobody reported; see `test_oracles.py`.
"""

import asyncio

import pytest

from dpop_asgi import Reason, RedisStore
from dpop_asgi.core.encoding import b64url_decode, sha256_b64url
from tests.support.api import call, http_scope
from tests.support.processes import ROOT

BY_HOST = {"public_url": None, "allowed_hosts": ["rs.example", "r", "other"]}
JTI = {"jti": "the-one-jti"}

# Where, and who had what. A test of this name is there.
ELSEWHERE = {
    "core/test_proof_keys.py": {
        "test_each_private_member_gives_the_key_away": "liboauth2 before 2.3.0 (CWE-345), draft-dpop #125; go-dpop "
        "drops the member and goes on, auth0 and AuthPlane look for `d` alone (read); joserfc",
    },
    "core/test_proof_header.py": {
        "test_a_proof_of_another_type_is_rejected": "go-dpop (read): a number ends the process",
        "test_a_proof_without_algorithm_is_rejected": "apisix #13165: a server error",
        "test_a_proof_signed_with_a_shared_secret_is_rejected": "joserfc before 0.11 (CVE-2024-37568): a public key "
        "as shared secret; idpy-oidc (read): HMAC and `oct` keys",
    },
    "core/test_proof_signature.py": {
        "test_a_proof_passes_with_rsa_keys_of_every_size": "joserfc: no header over 512 bytes",
    },
    "core/test_proof_claims.py": {
        "test_a_proof_without_a_required_claim_is_rejected": "WSO2 product-is #23358, #19887; idpy-oidc (read): no "
        "test of `jti`, `iat`, `ath`; dedalus-mcp: `ath` only if sent",
        "test_a_claim_that_must_be_a_string_is_nothing_else": "auth0-fastapi-api (run): a number as `htm` was a 500; "
        "pydpop: any truthy `jti`",
        "test_a_time_is_a_number_and_nothing_else": "auth0-api-python: any `iat` with a number in it",
        "test_an_absurd_time_is_judged_like_any_other": "ezpds: an `iat` of -2**63 overflowed",
    },
    "core/test_proof_request.py": {
        "test_a_proof_for_another_method_is_rejected": "auth0-api-python, AuthPlane, liboauth2, dedalus-mcp (read): "
        "`htm` in another case",
        "test_a_proof_for_another_resource_is_rejected": "bluesky atproto #3879 and others: an `htu` that is no "
        "absolute URI of http was compared all the same",
        "test_query_and_fragment_of_htu_do_not_count": "OpenID's suite; Spring, huskarl and liboauth2 refuse them",
        "test_a_proof_with_another_token_hash_is_rejected": "idpy-oidc (read): `ath` as hex",
    },
    "core/test_htu.py": {
        "test_a_uri_has_one_normal_form": "Quarkus #48110: the default port; go-dpop, middy (read): compared as "
        "strings; pds #163, AuthPlane, CtrlAltDevelop (read): a path that is decoded already",
        "test_paths_that_differ_stay_different": "AuthPlane: `urlparse` and the semicolon; dpop-verifier (read), "
        "inji-certify #1000, draft-dpop #49: slashes; Duende, liboauth2 (read): case, after unescaping",
    },
    "core/test_credentials.py": {
        "test_two_headers_are_ambiguous": "net.ltgt.oauth: a test of theirs",
        "test_there_must_be_exactly_one_proof": "auth0-fastapi-api (run) looks at the first of two proofs, pydpop "
        "(run) at the last, WSO2 product-is #19612 at one",
    },
    "core/test_access_token.py": {
        "test_a_malformed_confirmation_is_not_an_unbound_token": "ezpds: an empty one is none",
        "test_a_binding_that_we_cannot_check_is_rejected": "openiddict-core #2483, draft-dpop #58 and #63: a token "
        "bound to a certificate passed as unbound, or as DPoP",
        "test_a_token_that_is_not_bound_to_the_key_of_the_proof_is_rejected": "giantswarm/mcp-oauth #384; pydpop "
        "(run): keys were not compared; dedalus-mcp: a token without confirmation skips that",
    },
    "core/test_vectors.py": {
        "test_the_thumbprint_is_the_hash_of_the_printed_members": "spring-security #17079, #17080: the hash of the DER "
        "form",
    },
    "asgi/test_matrix.py": {
        "test_credentials": "giantswarm/mcp-oauth #383, spring-security #16937: the scheme decided, not the binding; "
        "pydpop (run): a proof without a token was let in, and WebSocket handshakes were not looked at",
    },
    "asgi/test_host.py": {
        "test_a_malformed_host_is_rejected_though_all_names_in_it_are_served": "starlette before 1.0.1 (#3279, "
        "CVE-2026-48710), litestar #4813, auth0 node-oauth2-jwt-bearer #244: a malformed Host moved the path",
    },
    "asgi/test_public_url.py": {
        "test_a_prefix_that_a_proxy_strips_is_put_back": "Keycloak #39332, eudi #143, node-oidc-provider #572, Okta "
        "#541 and #521, spring-security #17202: behind a proxy no honest proof fits",
        "test_a_root_path_that_the_server_puts_into_the_path_counts_once": "node-oidc-provider, pydpop (read): a "
        "mounted app sees the path without its prefix",
    },
    "asgi/test_nesting.py": {
        "test_three_instances_around_one_app_are_as_good_as_one": "AuthPlane: a replay of itself",
    },
    "test_authenticator_order.py": {
        "test_each_fault_gets_its_status_and_one_dpop_challenge": "auth0 (node and python): a bad proof was a 400, "
        "without the challenge that tells a client what to do",
        "test_a_rejected_proof_does_not_burn_its_jti": "descope go-sdk #756, #757; atproto, liboauth2, Community "
        "Solid Server, Keycloak, huskarl, pydpop, dedalus-mcp (read)",
    },
    "test_authenticator_nonces.py": {
        "test_a_client_that_sleeps_past_the_window_is_challenged": "Quarkus #54854: a stale nonce was "
        "`invalid_dpop_proof`; hono-dpop (read): accepted after any idle spell; atproto (read): does not rotate",
        "test_while_nonces_are_off_none_is_offered_and_a_claim_is_ignored": "atproto (read): `use_dpop_nonce` without "
        "a nonce, for ever; net.ltgt.oauth and node-oidc-provider refuse it",
        "test_nonces_cannot_be_guessed": "an atproto crate (read): a hash of seed and time; atproto: a counter that "
        "anybody with the secret of a long-gone day can go on with",
        "test_any_other_nonce_gets_a_challenge_with_a_good_one": "Abblix (read): a number outside of what a date can "
        "be is an error of the server",
        "test_a_client_that_reads_answers_is_challenged_once_in_its_life": "CtrlAltDevelop, Duende (read): no nonce "
        "on accepted requests",
    },
    "test_nonces.py": {
        "test_of_workers_that_start_at_once_all_use_what_the_first_wrote": "Abblix before its fix",
    },
    "test_authenticator_options.py": {
        "test_a_wrong_option_is_named_when_the_object_is_made": "Quarkus #48085: `dpop` in small letters switched the "
        "enforcement off; PRO-Robotech/kacho-iam #206: a cache that nobody asks",
    },
    "test_settings.py": {
        "test_a_bad_value_is_rejected_and_its_variable_named": "the same, of variables",
    },
    "test_authenticator.py": {
        "test_by_default_nobody_passes_without_being_remembered": "APISIX #13165, WSO2, dedalus-mcp: a setting whose "
        "weak value works with anything; swarmauri, liboauth2 (read): a write that failed counts as done",
    },
    "test_replay.py": {
        "test_the_identical_request_is_rejected_the_second_time": "dedalus-mcp (read): validator and cache made anew; "
        "auth0 node-oauth2-jwt-bearer #215, AzureAD #3504: the user's business, or off without notice",
        "test_a_proof_stays_used_until_it_is_too_old": "sourcebot #1395, keycloak #43505, attesto #18; atproto, "
        "node-oidc-provider, Community Solid Server, express-oauth2-dpop, swarmauri (read)",
        "test_the_same_jti_passes_from_another_key": "inji-certify #1000, draft-dpop #32, attesto #18: a `jti` that "
        "is known beforehand can be burned with another key",
        "test_another_spelling_of_the_uri_is_the_same_context": "better-auth #10039, #10799: `htu` as sent",
        "test_a_full_store_rejects_and_forgets_nothing": "hono-dpop, Community Solid Server (read): forgets the "
        "oldest; pydpop, atproto (read): grows without end",
        "test_an_entry_has_one_size_whatever_the_jti": "pydpop, atproto (read); descope go-sdk #756",
    },
    "e2e/test_several_processes.py": {
        "test_nonces_and_used_proofs_outlive_a_restart_of_every_server": "giantswarm/mcp-oauth #389, spring-security "
        "#18120, writer/cerebro #936: each pod with a cache of its own",
    },
    "hostile/test_bounds.py": {
        "test_max_authorization_bytes": "Duende (read): a limit for the proof on `Authorization`",
    },
}  # fmt: skip


@pytest.mark.parametrize("file", ELSEWHERE)
def test_what_is_tested_elsewhere_is(file):
    there = (ROOT / "tests" / file).read_text("utf-8")
    assert [name for name in ELSEWHERE[file] if f"def {name}(" not in there] == []


# joserfc before 1.3.5 and 1.4.2 (CVE-2025-65015): the error about the size held the token.
@pytest.mark.parametrize("name", ["Authorization", "DPoP"])
async def test_what_is_too_large_is_not_repeated_in_the_rejection(api, caplog, name):
    caplog.set_level("DEBUG")
    value = "DPoP "[: 5 * (name == "Authorization")] + "marked" * 3000
    answer = await api.ask(drop={name}, also=[(name, value)])
    assert api.decisions[0].reason in {Reason.AUTHORIZATION_TOO_LARGE, Reason.PROOF_TOO_LARGE}
    assert "marked" not in f"{answer} {caplog.text}"


# pydpop (run): `ath` not compared when the scheme was in small letters; Duende #1969, atproto #2734, Kong and
# express-oauth2-dpop (read): the case of the scheme counted.
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP"])
async def test_the_hash_of_the_token_is_compared_whatever_the_case_of_the_scheme(api, scheme):
    used = {"drop": {"Authorization"}, "also": [("authorization", f"{scheme} {api.token}")]}
    right = b64url_decode(sha256_b64url(api.token).encode())
    for wrong in (right.hex(), sha256_b64url("another"), ""):
        assert await api.reason(claims={"ath": wrong}, **used) is Reason.TOKEN_HASH_MISMATCH
    assert await api.passes(**used)


# auth0-fastapi-api (run), pydpop (run), WSO2 product-is #19612: of two proofs one is looked at.
@pytest.mark.requirement("H-09", "R-4.3-01")
@pytest.mark.parametrize("stray", ["", "x", "a.b.c", "the same"])
@pytest.mark.parametrize("first", [True, False])
async def test_a_second_proof_is_seen_before_and_behind_the_good_one(api, stray, first):
    fields = await api.fields()
    good, other = ("dpop", fields["DPoP"]), ("dpop", fields["DPoP"] if stray == "the same" else stray)
    also = [other, good] if first else [good, other]
    assert await api.reason(drop={"DPoP"}, also=also) is Reason.PROOF_REPEATED


# starlette before 1.0.1 (#3279, CVE-2026-48710) and others, see above.
@pytest.mark.parametrize("host", ["rs.example/other?", "rs.example/other#", "rs.example%2fother", "http://rs.example"])
async def test_a_malformed_host_moves_no_path(make_api, api, host):
    by_host = make_api(**BY_HOST)
    for claimed in ("/other", "/r", f"https://{host}/r"):
        assert await by_host.reason(host=host, claimed=claimed) is Reason.HOST_MALFORMED
    assert await api.passes(host=host)
    assert await api.reason(host=host, claimed="/other") is Reason.TARGET_MISMATCH


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


# pydpop, Duende, node-oidc-provider, liboauth2, express-oauth2-dpop, swarmauri (read): looks, then writes.
async def test_of_copies_sent_to_two_hosts_at_once_one_passes(two_hosts):
    headers = [("host", "rs.example"), *(await two_hosts[0].fields()).items()]
    copies = [call(two_hosts[number % 2].app, http_scope(headers=headers)) for number in range(40)]
    assert sorted(answer.status for answer in await asyncio.gather(*copies)) == [200, *[401] * 39]


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
