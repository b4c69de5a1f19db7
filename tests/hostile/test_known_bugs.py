"""Bugs that other implementations had or have, one test each: what they take for a good request.

Above each test: who had it. "read" means that it stands in their code as read, without an issue that names it.
The target URI is in `test_known_bugs_uri.py`, what has to be remembered between requests in `test_known_bugs_state.py`.

Not here, since a resource server cannot have them: clients that go on with Bearer when DPoP fails (eudi-swift #336);
trust in keys that a `jwk` header names for something else than a proof (authlib, which is not used); a host that
cannot be found out and is answered with 401 (middy). That a validator leaves replay to its user without saying so
(auth0 node-oauth2-jwt-bearer #215) is answered in `test_known_bugs_state.py`: it cannot be switched off.
"""

import hmac
import json

import pytest

from dpop_asgi import Reason
from dpop_asgi.core.encoding import b64url_decode, b64url_encode, sha256_b64url
from dpop_asgi.testing import Client
from tests.support.keys import rsa_key
from tests.support.watched import WatchedApi, websocket_scope


@pytest.fixture
def mixed(make_api):
    return make_api(mode="mixed")


# liboauth2 before 2.3.0 (CWE-345), draft-dpop #125; go-dpop drops the member and goes on, auth0 and AuthPlane look for
# `d` alone (read); joserfc imports private keys by design.
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
async def test_a_key_with_one_private_member_is_rejected(api, member):
    header = {"jwk": {**api.client.key.public_jwk, member: "AQ"}}
    assert await api.reason(header=header) is Reason.KEY_PRIVATE


# go-dpop (read): a type that is no string ends the process.
@pytest.mark.parametrize("typ", [5, None, [], {}, True], ids=str)
async def test_a_type_that_is_no_string_is_a_rejection(api, typ):
    assert await api.reason(header={"typ": typ}) is Reason.PROOF_TYPE


# apisix #13165: a proof without `alg` was a server error.
@pytest.mark.parametrize("missing", ["typ", "alg", "jwk"])
async def test_a_proof_that_lacks_a_header_parameter_is_a_rejection(api, missing):
    reasons = {"typ": Reason.PROOF_TYPE, "alg": Reason.PROOF_ALGORITHM, "jwk": Reason.KEY_MISSING}
    assert await api.reason(lacking={missing}) is reasons[missing]


# joserfc before 0.11 (CVE-2024-37568): a public key served as shared secret; idpy-oidc (read): HMAC and `oct` keys.
@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
async def test_a_public_key_is_no_shared_secret(api, form):
    key = api.client.key
    secret = json.dumps(key.public_jwk).encode() if form == "jwk" else getattr(key._key, f"as_{form}")(private=False)
    proof = await _signed_by_hmac(api, secret, key.public_jwk)
    assert await api.reason(drop={"DPoP"}, also=[("dpop", proof)]) is Reason.PROOF_ALGORITHM


async def test_a_symmetric_key_in_the_header_is_rejected(api):
    proof = await _signed_by_hmac(api, b"x" * 32, {"kty": "oct", "k": b64url_encode(b"x" * 32)})
    assert await api.reason(drop={"DPoP"}, also=[("dpop", proof)]) is Reason.PROOF_ALGORITHM


async def _signed_by_hmac(api, secret, jwk):
    payload = (await api.fields())["DPoP"].split(".")[1]
    header = json.dumps({"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk}).encode()
    message = f"{b64url_encode(header)}.{payload}"
    return f"{message}.{b64url_encode(hmac.digest(secret, message.encode(), 'sha256'))}"


# joserfc refuses headers over 512 bytes: every proof with an RSA key; Duende measures the proof by another field.
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
async def test_a_proof_with_an_rsa_key_is_not_too_long(make_api, issuer, clock, bits):
    api = WatchedApi(issuer, Client("PS256", clock=clock, key=rsa_key(bits)), clock)
    assert await api.passes()


# joserfc before 1.3.5 and 1.4.2 (CVE-2025-65015): the error about the size held the token.
@pytest.mark.parametrize("name", ["Authorization", "DPoP"])
async def test_what_is_too_large_is_not_repeated_in_the_rejection(api, caplog, name):
    caplog.set_level("DEBUG")
    value = "DPoP "[: 5 * (name == "Authorization")] + "marked" * 3000
    answer = await api.ask(drop={name}, also=[(name, value)])
    assert api.decisions[0].reason in {Reason.AUTHORIZATION_TOO_LARGE, Reason.PROOF_TOO_LARGE}
    assert "marked" not in f"{answer} {caplog.text}"


# Duende (read): a limit meant for the proof measures `Authorization`.
async def test_each_header_has_a_limit_of_its_own(api):
    assert await api.reason(claims={"padding": "x" * 8000}) is Reason.PROOF_TOO_LARGE
    long = api.issuer.access_token(api.client, claims={"padding": "x" * 8000})
    assert await api.passes(token=long)


# giantswarm/mcp-oauth #383, spring-security #16937: the scheme decided, not the binding.
@pytest.mark.parametrize("with_proof", [True, False])
async def test_a_bound_token_does_not_pass_as_bearer(mixed, with_proof):
    dropped = {"Authorization"} if with_proof else {"Authorization", "DPoP"}
    bearer = [("authorization", f"Bearer {mixed.token}")]
    assert await mixed.reason(drop=dropped, also=bearer) is Reason.BOUND_TOKEN_AS_BEARER


# giantswarm/mcp-oauth #384; pydpop (run): the proof's key was never compared with the token's.
async def test_a_stolen_token_with_a_proof_by_another_key_is_rejected(api, other_client):
    assert await api.reason(client=other_client) is Reason.BINDING_MISMATCH


# dedalus-mcp, pydpop: a token without confirmation skips the comparison; ezpds: an empty one reads as none.
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param(None, Reason.BINDING_MISSING, id="none"),
        pytest.param({}, Reason.BINDING_MALFORMED, id="empty"),
        pytest.param({"jkt": None}, Reason.BINDING_MALFORMED, id="null"),
        pytest.param({"jkt": ""}, Reason.BINDING_MALFORMED, id="blank"),
    ],
)
async def test_a_token_whose_confirmation_says_nothing_is_rejected(api, claims, reason):
    token = api.issuer.access_token(None, claims={} if claims is None else {"cnf": claims})
    assert await api.reason(token=token) is reason


# ezpds; openiddict-core #2483, draft-dpop #58 and #63: a token bound to a certificate passed as unbound, or as DPoP.
@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
@pytest.mark.parametrize("binding", [{}, {"x5t#S256": "x" * 43}, {"kid": "x"}], ids=str)
async def test_a_token_that_is_bound_otherwise_is_not_unbound(mixed, scheme, binding):
    token = mixed.issuer.access_token(None, claims={"cnf": binding})
    used = [("authorization", f"{scheme} {token}")]
    expected = {Reason.BINDING_MALFORMED, Reason.BINDING_UNSUPPORTED}
    assert await mixed.reason(token=token, drop={"Authorization"}, also=used) in expected


# spring-security #17079, #17080: `jkt` was the hash of the key's DER form.
async def test_a_hash_of_another_form_of_the_key_is_no_thumbprint(api):
    der = api.client.key._key.as_der(private=False)
    token = api.issuer.access_token(None, claims={"cnf": {"jkt": sha256_b64url(der)}})
    assert await api.reason(token=token) is Reason.BINDING_MISMATCH


# WSO2 product-is #23358, #19887; idpy-oidc (read): no test of `jti`, `iat`, `ath`; dedalus-mcp: `ath` only if sent.
@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat", "ath"])
async def test_a_claim_that_is_left_out_is_missed(api, claim):
    assert await api.reason(lacking={claim}) is Reason.CLAIM_MISSING


# auth0-fastapi-api (run): `htm` as a number was a 500; pydpop: any truthy `jti`; auth0-api-python: any `iat` with a
# number in it; ezpds: an `iat` of -2**63 overflowed.
@pytest.mark.parametrize("value", [True, 5, 1.5, [], {}, None, "", -(2**63), 2**63 - 1, 1e308, -1e308], ids=str)
@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat", "ath"])
async def test_a_claim_of_any_other_kind_is_a_rejection(api, claim, value):
    assert await api.reason(claims={claim: value})


# idpy-oidc (read): `ath` as hex digits; pydpop (run): `ath` not compared when the scheme was in small letters.
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP"])
async def test_the_hash_of_the_token_is_compared_whatever_the_case_of_the_scheme(api, scheme):
    used = {"drop": {"Authorization"}, "also": [("authorization", f"{scheme} {api.token}")]}
    right = b64url_decode(sha256_b64url(api.token).encode())
    for wrong in (right.hex(), sha256_b64url("another"), ""):
        assert await api.reason(claims={"ath": wrong}, **used) is Reason.TOKEN_HASH_MISMATCH
    # Duende #1969, atproto #2734, Kong and express-oauth2-dpop (read): the case of the scheme counted.
    assert await api.passes(**used)


# auth0-fastapi-api (run) looks at the first of two proofs, pydpop (run) at the last, WSO2 product-is #19612 at one.
@pytest.mark.parametrize("stray", ["", "x", "a.b.c", "the same"])
@pytest.mark.parametrize("first", [True, False])
async def test_a_second_proof_is_seen_before_and_behind_the_good_one(api, stray, first):
    fields = await api.fields()
    good, other = ("dpop", fields["DPoP"]), ("dpop", fields["DPoP"] if stray == "the same" else stray)
    also = [other, good] if first else [good, other]
    assert await api.reason(drop={"DPoP"}, also=also) is Reason.PROOF_REPEATED


# net.ltgt.oauth: a test of theirs; a valid token in the second of two fields.
async def test_a_second_token_is_seen_before_and_behind_the_good_one(api):
    for stray in ("Bearer x", "Basic eDp5", ""):
        assert await api.reason(also=[("authorization", stray)]) is Reason.AUTHORIZATION_REPEATED


# pydpop (run): a good proof without any token was let in.
async def test_a_proof_without_a_token_is_not_let_in(api):
    assert await api.reason(drop={"Authorization"}) is Reason.AUTHORIZATION_MISSING


# pydpop (run): WebSocket handshakes passed unseen.
async def test_a_websocket_handshake_without_credentials_is_denied(api):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await api.app(websocket_scope(), receive, send)
    assert sent[0]["status"] == 401
    assert api.inner.scopes == []


# auth0 (node and python): a bad proof was a 400, without the challenge that tells a client what to do.
async def test_a_bad_proof_is_a_401_with_a_challenge(api):
    answer = await api.ask(claims={"ath": "x"})
    assert (answer.status, answer.one("www-authenticate").split()[0]) == (401, "DPoP")
