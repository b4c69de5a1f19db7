"""The checks that a user adds run before the proof is used up, and fail closed."""

import pytest

from dpop_asgi import InvalidToken, Reason, Refusal
from tests.support.api import Api, App, call, http_scope
from tests.support.decisions import CountingStore


@pytest.fixture
def store(clock):
    return CountingStore(clock)


@pytest.fixture
def make_api(issuer, client, clock, store):
    return lambda inner=None, **options: Api(inner or App(), issuer, client, clock, **{"store": store, **options})


def _rejects(*_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


async def _rejects_later(*_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


async def _nothing(*_):
    pass


@pytest.mark.parametrize("check", [_rejects, _rejects_later])
@pytest.mark.parametrize("protect", ["everything", "routes"])
async def test_a_check_may_reject_and_the_proof_is_not_used_up(make_api, store, check, protect):
    api = make_api(also_check=check, protect=protect, require={"/r": "required"})
    answer = await api.request()
    assert (answer.status, 'error="invalid_token"' in answer.one("www-authenticate")) == (401, True)
    assert store.proofs == []


@pytest.mark.parametrize("check", [_nothing, lambda *_: None], ids=["async", "plain"])
async def test_a_check_may_pass(make_api, check):
    assert (await make_api(also_check=check).request()).status == 200


@pytest.mark.parametrize("returned", [False, True, "", 0], ids=repr)
async def test_a_check_that_returns_something_is_an_error_and_lets_nobody_pass(make_api, store, returned):
    for check in (lambda *_: returned, _returning(returned)):
        with pytest.raises(TypeError, match=r"^also_check: "):
            await make_api(also_check=check).request()
    assert store.proofs == []


def _returning(value):
    async def check(*_):
        return value

    return check


async def test_an_error_of_a_check_is_the_apps_and_the_proof_is_not_used_up(make_api, store):
    def check(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await make_api(also_check=check).request()
    assert store.proofs == []


async def test_a_check_sees_what_was_verified_and_cannot_change_it(make_api, client):
    seen = []

    def check(request, claims, thumbprint, token):
        seen.append((request.method, request.target_uri, claims["htm"], thumbprint, token.subject))
        claims["jti"] = "another"

    api = make_api(also_check=check)
    scope = http_scope(headers=(await api.fields()).items())
    assert [(await call(api.app, dict(scope))).status for _ in range(2)] == [200, 401]
    assert seen == [("GET", "https://rs.example/r", "GET", client.thumbprint, "alice")] * 2


async def test_under_bearer_a_check_sees_no_proof(make_api, issuer):
    seen = []
    api = make_api(mode="mixed", also_check=lambda *given: seen.append(given[1:3]))
    await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert seen == [(None, None)]


async def test_a_caller_has_the_claims_of_the_proof(make_api):
    api = make_api()
    await api.request()
    [scope] = api.inner.scopes
    caller = scope["user"]
    assert caller.proof_claims["htu"] == "https://rs.example/r"
    assert caller.proof_claims["jti"] not in repr(caller)


@pytest.mark.requirement("R-7.2-07")
@pytest.mark.parametrize(("allowed", "status"), [(True, 200), (False, 401)])
async def test_clients_may_lose_bearer_one_by_one(make_api, issuer, allowed, status):
    api = make_api(mode="mixed", allow_bearer=lambda token: token.client_id == "demo-client" and allowed)
    answer = await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert answer.status == status
    assert (await api.request()).status == 200
    if not allowed:
        assert [line.split()[0] for line in answer.all("www-authenticate")] == ["Bearer", "DPoP"]


@pytest.mark.parametrize(
    "returns", [lambda: 1, lambda: None, lambda: "yes", _nothing], ids=["one", "none", "text", "coroutine"]
)
async def test_what_is_neither_true_nor_false_lets_nobody_pass(make_api, issuer, returns):
    api = make_api(mode="mixed", allow_bearer=lambda _: returns())
    with pytest.raises(TypeError, match=r"^allow_bearer: "):
        await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])


def test_a_bearer_rule_that_is_async_is_rejected_when_it_is_configured(make_api):
    async def allow(token):
        return True

    with pytest.raises(ValueError, match=r"^allow_bearer: "):
        make_api(mode="mixed", allow_bearer=allow)


async def test_the_observer_is_told_of_a_rejection_by_a_check(make_api):
    decisions = []
    await make_api(also_check=_rejects, observer=decisions.append).request()
    assert [decision.reason for decision in decisions] == [Reason.TOKEN_REJECTED]
    assert issubclass(InvalidToken, Refusal)
