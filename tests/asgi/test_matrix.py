"""Which credentials are accepted, and how others are rejected: one table, whoever asks and over whichever protocol."""

from itertools import product

import pytest
from starlette.requests import HTTPConnection

from dpop_asgi import InsufficientScope, Reason
from dpop_asgi.starlette import authenticate
from tests.support.api import App, call, connect, denial, handshake, http_scope
from tests.support.challenges import checked_challenges
from tests.support.decisions import CountingStore

R, PASSES = Reason, None
TOKENS = {
    "bound": {},
    "unbound": {"without": ["cnf"]},
    "bound-by-mtls": {"claims": {"cnf": {"x5t#S256": "A" * 43}}},
    "malformed-binding": {"claims": {"cnf": {"jkt": 5}}},
    "empty-binding": {"claims": {"cnf": {}}},
}
# Why a good proof does not help, and why it isn't accepted as Bearer either.
AS_DPOP = {"bound": PASSES, "unbound": R.BINDING_MISSING, "bound-by-mtls": R.BINDING_UNSUPPORTED}
AS_BEARER = {"bound": R.BOUND_TOKEN_AS_BEARER, "unbound": PASSES, "bound-by-mtls": R.BINDING_UNSUPPORTED}
CODES = {R.AUTHORIZATION_MISSING: None, R.AUTHORIZATION_SCHEME: None, R.PROOF_MISSING: "invalid_dpop_proof"}


def _why(mode, scheme, token, proof):
    """Why a request with these credentials is rejected."""
    if scheme in {"none", "Basic"}:
        return R.AUTHORIZATION_MISSING if scheme == "none" else R.AUTHORIZATION_SCHEME
    if scheme == "DPoP":
        return AS_DPOP.get(token, R.BINDING_MALFORMED) if proof else R.PROOF_MISSING
    return R.BEARER_NOT_ACCEPTED if mode == "required" else AS_BEARER.get(token, R.BINDING_MALFORMED)


def _challenges(mode, scheme, why):
    """The scheme that was used comes first, and has the code."""
    code = CODES.get(why, "invalid_token")
    if mode == "required" or scheme == "DPoP":
        return [("DPoP", code)]
    return [("Bearer", code), ("DPoP", None)] if scheme == "bEaReR" else [("DPoP", None), ("Bearer", None)]


async def _asks(scope, receive, send):
    """Asks, as a route does."""
    await authenticate(HTTPConnection(scope))
    if scope["type"] == "http":
        await App()(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.accept"})


def _told(answer):
    return [(one.scheme, one.parameters.get("error")) for one in checked_challenges(answer.headers)]


@pytest.mark.requirement("R-7.2-02", "R-7.2-03", "R-7.2-04", "R-7.2-06", "R-7.2-07", "R-7.2-08", "R-8705-01", "R-6-01")
@pytest.mark.requirement("R-6750-06", "R-7.1-05", "R-7.1-06")
@pytest.mark.parametrize("over", ["http", "websocket"])
@pytest.mark.parametrize("protect", ["everything", "routes"])
@pytest.mark.parametrize("mode", ["required", "mixed"])
async def test_credentials(make_api, clock, over, protect, mode, subtests):
    for scheme, token, proof in product(("none", "Basic", "DPoP", "bEaReR"), TOKENS, (True, False)):
        decisions, store = [], CountingStore(clock)
        api = make_api(_asks, protect=protect, mode=mode, observer=decisions.append, store=store)
        sent = await api.fields(path="/r", token=api.issuer.access_token(api.client, **TOKENS[token]))
        sent["Authorization"] = f"{scheme} {sent['Authorization'].partition(' ')[2]}"
        left_out = {*(["Authorization"] if scheme == "none" else []), *([] if proof else ["DPoP"])}
        accepted, answer = await _ask(api, over, [field for field in sent.items() if field[0] not in left_out])
        why = _why(mode, scheme, token, proof)
        with subtests.test(f"{scheme} {token} {'with' if proof else 'without'} a proof"):
            assert [decision.reason for decision in decisions] == [why]
            assert accepted == (why is PASSES)
            assert len(store.proofs) == (accepted and scheme == "DPoP")
            if not accepted:
                assert (answer.status, _told(answer)) == (401, _challenges(mode, scheme, why))


async def _ask(api, over, fields):
    """Whether it was accepted, and the response if there is one."""
    if over == "http":
        answer = await call(api.app, http_scope(headers=fields))
        return answer.status == 200, answer
    messages = await connect(api.app, handshake(fields, path="/r"))
    accepted = messages[0]["type"] == "websocket.accept"
    return accepted, None if accepted else denial(messages)


@pytest.mark.requirement("R-7.2-01", "R-7.2-05")
@pytest.mark.parametrize("mode", ["required", "mixed"])
@pytest.mark.parametrize("used", ["Bearer {0}|DPoP {0}", "DPoP {0}, Bearer {0}", "DPoP {0}|DPoP {0}"])
async def test_an_ambiguous_use_of_both_schemes_is_a_bad_request_on_both_challenges(make_api, mode, used):
    api = make_api(mode=mode)
    both = [("authorization", value) for value in used.format(api.token).split("|")]
    answer = await api.request(without=["Authorization"], also=both)
    code = "invalid_request"
    assert (answer.status, _told(answer)) == (400, [("DPoP", code), ("Bearer", code)][: 1 + (mode == "mixed")])


@pytest.mark.requirement("R-7.1-10", "R-7.1-11")
async def test_the_realm_is_configured_and_stands_once(make_api):
    answer = await make_api(mode="mixed", realm="orders").anonymous()
    assert [line.count("realm=") for line in answer.all("www-authenticate")] == [0, 1]
    assert answer.all("www-authenticate")[1] == 'Bearer realm="orders"'


@pytest.mark.requirement("R-7.2-04", "R-6750-07")
async def test_a_rejection_that_the_app_raises_for_a_bearer_caller_is_a_bearer_challenge(make_api, issuer):
    async def refuse(scope, receive, send):
        raise InsufficientScope("orders:write")

    api = make_api(refuse, mode="mixed")
    answer = await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert (answer.status, _told(answer)) == (403, [("Bearer", "insufficient_scope"), ("DPoP", None)])
