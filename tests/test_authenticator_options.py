"""A wrong option is a ValueError that names it, when the object is made; and the user's own checks fail closed."""

import time
from functools import partial

import pytest

from dpop_asgi import Authenticator, DecisionLog, InvalidToken, MemoryStore, NoncePolicy, Reason
from dpop_asgi.testing import ManualClock
from tests.support.api import Api, App, call, http_scope


def _rejects(*_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


async def _rejects_later(*_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


class _AsyncCall:
    async def __call__(self, _):
        """Nothing."""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"verify_token": None}, "verify_token", id="no-verifier"),
        pytest.param({"verify_token": "jwt"}, "verify_token", id="a-name-for-a-verifier"),
        pytest.param({"store": "redis://localhost"}, "store", id="a-URL-for-a-store"),
        pytest.param({"store": MemoryStore}, "store", id="a-class-for-a-store"),
        pytest.param({"remember_for": "300"}, "remember_for", id="a-text-for-seconds"),
        pytest.param({"clock": 3.5}, "clock", id="N23: clock-a-time"),
        pytest.param({"clock": time}, "clock", id="N23: clock-a-module"),
        pytest.param({"clock": ManualClock}, "clock", id="N23: clock-a-class"),
        pytest.param({"observer": DecisionLog}, "observer", id="N23: observer-a-class"),
        pytest.param({"also_check": DecisionLog}, "also_check", id="N23: also-check-a-class"),
        pytest.param({"mode": "mixed", "allow_bearer": bool}, "allow_bearer", id="N23: allow-bearer-a-class"),
        *(pytest.param({"namespace": n}, "namespace", id=f"N23: namespace-{n!a}") for n in (3, None, "", "é", "a\nb")),
        *(pytest.param({"mode": mode}, "mode", id=f"mode-{mode}") for mode in ("Required", "bearer", None)),
        *(pytest.param({"cached_keys": n}, "cached_keys", id=f"{n}-keys") for n in (-1, 1.5, "9", True)),
        pytest.param({"on_store_failure": "ignore"}, "on_store_failure", id="failure-unknown"),
        pytest.param({"on_store_failure": "accept", "nonces": None}, "on_store_failure", id="accept-without-nonces"),
        pytest.param({"observer": 3}, "observer", id="observer-not-callable"),
        pytest.param({"observer": _rejects_later}, "observer", id="observer-async-Y07"),
        pytest.param({"observer": partial(_rejects_later)}, "observer", id="observer-partial-async-Y07"),
        pytest.param({"observer": _AsyncCall()}, "observer", id="observer-object-async-Y07"),
        pytest.param({"mode": "mixed", "allow_bearer": _rejects_later}, "allow_bearer", id="bearer-rule-async"),
    ],
)
def test_a_wrong_option_is_named_when_the_object_is_made(options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        Authenticator(**{"verify_token": _rejects_later, "store": MemoryStore(), **options})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("period", value) for value in (0, -1, float("inf"), float("nan"), "60", None, True)),
        *(("grace", value) for value in (-1, 1.0, "1", None, True)),
        *(("lookahead", value) for value in (0, -1, 2.5, "5", None, True)),
    ],
)
def test_a_policy_that_could_not_work_names_the_option(option, value):
    with pytest.raises(ValueError, match=rf"^{option}: "):
        NoncePolicy(**{option: value})


# The user's own checks run before the proof is used up


@pytest.fixture
def make_api(issuer, client, clock, store):
    return lambda **options: Api(App(), issuer, client, clock, **{"store": store, **options})


def _breaks(*_):
    raise ZeroDivisionError


def _returning(value, *, later):
    async def check(*_):
        return value

    return check if later else lambda *_: value


@pytest.mark.parametrize("check", [_rejects, _rejects_later])
@pytest.mark.parametrize("protect", ["everything", "routes"])
async def test_a_check_may_reject_and_the_proof_is_not_used_up(make_api, store, check, protect):
    decisions = []
    api = make_api(also_check=check, protect=protect, require={"/r": "required"}, observer=decisions.append)
    answer = await api.request()
    assert (answer.status, 'error="invalid_token"' in answer.one("www-authenticate")) == (401, True)
    assert [decision.reason for decision in decisions] == [Reason.TOKEN_REJECTED]
    assert store.proofs == []


@pytest.mark.parametrize("later", [True, False], ids=["async", "plain"])
@pytest.mark.parametrize("returned", [None, False, True, "", 0], ids=repr)
async def test_a_check_that_returns_anything_but_none_is_an_error_and_lets_nobody_pass(
    make_api, store, later, returned
):
    api = make_api(also_check=_returning(returned, later=later))
    if returned is None:
        assert (await api.request()).status == 200
        return
    with pytest.raises(TypeError, match=r"^also_check: "):
        await api.request()
    assert store.proofs == []


async def test_an_error_of_a_check_is_the_apps_and_the_proof_is_not_used_up(make_api, store):
    with pytest.raises(ZeroDivisionError):
        await make_api(also_check=_breaks).request()
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


@pytest.mark.requirement("R-7.2-07")
@pytest.mark.parametrize(("allowed", "status"), [(True, 200), (False, 401)])
async def test_clients_may_lose_bearer_one_by_one(make_api, issuer, allowed, status):
    seen = []
    api = make_api(
        mode="mixed",
        allow_bearer=lambda token: token.client_id == "demo-client" and allowed,
        also_check=lambda *given: seen.append(given[1:3]),
    )
    answer = await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert (answer.status, seen) == (status, [(None, None)] * allowed), "a check sees no proof"
    assert (await api.request()).status == 200
    if not allowed:
        assert [line.split()[0] for line in answer.all("www-authenticate")] == ["Bearer", "DPoP"]


@pytest.mark.parametrize("returned", [1, None, "yes", _rejects_later], ids=["one", "none", "text", "coroutine"])
async def test_what_is_neither_true_nor_false_lets_nobody_pass(make_api, issuer, returned):
    api = make_api(mode="mixed", allow_bearer=lambda _: returned() if callable(returned) else returned)
    with pytest.raises(TypeError, match=r"^allow_bearer: "):
        await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
