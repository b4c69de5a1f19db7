"""Bearer beside DPoP, during a migration: which challenges, in which order, with which error."""

import pytest

from dpop_asgi import InsufficientScope
from tests.support.api import call, http_scope
from tests.support.challenges import checked_challenges


@pytest.fixture
def mixed(make_api):
    return make_api(mode="mixed")


async def _with(api, *authorizations, proof=None):
    headers = [("authorization", value) for value in authorizations]
    headers += [("dpop", proof)] if proof else []
    answer = await call(api.app, http_scope(headers=headers))
    return answer, [(one.scheme, one.parameters.get("error")) for one in checked_challenges(answer.headers)]


@pytest.mark.requirement("R-7.2-03", "R-6750-05", "R-9110-03", "R-6750-06")
@pytest.mark.parametrize("authorizations", [[], ["Basic eA=="], ["Negotiate x"]], ids=repr)
async def test_without_usable_credentials_both_schemes_are_offered_without_error(mixed, authorizations):
    answer, challenges = await _with(mixed, *authorizations)
    assert (answer.status, challenges) == (401, [("DPoP", None), ("Bearer", None)])
    assert answer.all("www-authenticate")[1] == 'Bearer realm="api"'


@pytest.mark.requirement("R-7.2-02", "R-7.2-04")
@pytest.mark.parametrize("with_proof", [False, True], ids=["alone", "with-a-proof"])
async def test_a_bound_token_is_rejected_as_bearer(mixed, with_proof):
    proof = (await mixed.fields())["DPoP"] if with_proof else None
    answer, challenges = await _with(mixed, f"Bearer {mixed.token}", proof=proof)
    assert (answer.status, challenges) == (401, [("Bearer", "invalid_token"), ("DPoP", None)])
    assert mixed.inner.scopes == []


@pytest.mark.requirement("R-7.2-04")
async def test_a_bad_bearer_token_gets_the_error_on_the_bearer_challenge(mixed):
    answer, challenges = await _with(mixed, "Bearer junk")
    assert (answer.status, challenges) == (401, [("Bearer", "invalid_token"), ("DPoP", None)])


@pytest.mark.requirement("R-7.2-04")
async def test_a_bad_dpop_token_gets_the_error_on_the_dpop_challenge(mixed):
    proof = (await mixed.fields(token="junk"))["DPoP"]
    _, challenges = await _with(mixed, "DPoP junk", proof=proof)
    assert challenges[0] == ("DPoP", "invalid_token")
    assert all(error is None for scheme, error in challenges if scheme == "Bearer")


@pytest.mark.requirement("R-7.2-05", "R-7.2-01")
async def test_an_ambiguous_request_gets_the_error_on_both(mixed):
    answer, challenges = await _with(mixed, "Bearer a", "DPoP b")
    assert answer.status == 400
    assert challenges == [("DPoP", "invalid_request"), ("Bearer", "invalid_request")]


@pytest.mark.requirement("R-9-05")
async def test_a_nonce_challenge_stands_alone(mixed):
    answer = await mixed.request(nonce=None)
    [challenge] = checked_challenges(answer.headers)
    assert answer.one("www-authenticate").startswith('DPoP error="use_dpop_nonce"')
    assert challenge.parameters["error"] == "use_dpop_nonce"


@pytest.mark.requirement("R-7.2-07")
async def test_an_unbound_bearer_token_passes_with_or_without_a_stray_proof(mixed, issuer):
    token = issuer.access_token()
    for proof in (None, "junk"):
        answer, _ = await _with(mixed, f"Bearer {token}", proof=proof)
        assert (answer.status, answer.all("dpop-nonce")) == (200, [])
    assert mixed.inner.scopes[0]["user"].key_thumbprint is None


@pytest.mark.requirement("R-7.2-06")
async def test_an_unbound_token_is_rejected_under_dpop(mixed, issuer):
    answer = await mixed.request(token=issuer.access_token())
    assert answer.one("www-authenticate").startswith('DPoP error="invalid_token"')


@pytest.mark.requirement("R-7.2-08")
async def test_where_dpop_is_required_no_bearer_token_passes(api, issuer):
    for token in (api.token, issuer.access_token(), "junk"):
        answer, challenges = await _with(api, f"Bearer {token}")
        assert (answer.status, challenges) == (401, [("DPoP", "invalid_token")])


@pytest.mark.requirement("R-7.1-10", "R-7.1-11")
async def test_the_realm_is_configured_and_stands_once(make_api):
    answer = await make_api(mode="mixed", realm="orders").anonymous()
    assert [line.count("realm=") for line in answer.all("www-authenticate")] == [0, 1]
    assert 'realm="orders"' in answer.all("www-authenticate")[1]


@pytest.mark.parametrize("realm", ["", 'a"b', "a\\b", "a\r\nb", "caf\xe9"], ids=repr)
def test_a_realm_that_could_end_its_quotes_is_rejected_when_it_is_configured(make_api, realm):
    with pytest.raises(ValueError, match=r"^realm: "):
        make_api(realm=realm)


@pytest.mark.requirement("R-7.1-12")
async def test_a_bad_proof_is_401_in_both_modes(api, mixed):
    for one in (api, mixed):
        answer = await one.request(claims={"htm": "PUT"})
        assert answer.status == 401
        assert answer.one("www-authenticate").startswith('DPoP error="invalid_dpop_proof"')


@pytest.mark.requirement("R-7.2-04", "R-6750-07")
async def test_a_rejection_that_the_app_raises_for_a_bearer_caller_is_a_bearer_challenge(make_api, issuer):
    async def refuse(scope, receive, send):
        raise InsufficientScope("orders:write")

    answer, challenges = await _with(make_api(refuse, mode="mixed"), f"Bearer {issuer.access_token()}")
    assert (answer.status, challenges) == (403, [("Bearer", "insufficient_scope"), ("DPoP", None)])
