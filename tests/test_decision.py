"""What a `Decision` tells of a request, by how far the request got."""

from contextlib import nullcontext

import pytest

from dpop_asgi import (
    AccessToken,
    Decision,
    InvalidToken,
    IssuerUnavailable,
    NoncePolicy,
    Reason,
    Refusal,
    Requirement,
    StoreError,
)
from tests.support.api import Api, App
from tests.support.decisions import Resource, incoming
from tests.support.proofs import TOKEN

BEARER = {"authorization": f"Bearer {TOKEN}"}
# Neither how long something took nor, for most, the age of a nonce.
_TIMES = ("token_seconds", "store_seconds", "nonce_age")


@pytest.fixture
def decisions():
    return []


@pytest.fixture
def make(clock, client, decisions):
    return lambda **options: Resource(clock, client, observer=decisions.append, **options)


def _facts(decision):
    """What is known, but for times."""
    known = {name: value for name, value in decision._asdict().items() if value is not None and name not in _TIMES}
    return {name: value for name, value in known.items() if Decision._field_defaults.get(name) != value}


PROOF = {"scheme": "DPoP", "algorithm": "ES256", "key_remembered": False}
UNBOUND = {"bound": False, "client_id": "old", "token_remembered": False}
KNOWN = {
    "nothing": ("required", {}, {"reason": Reason.AUTHORIZATION_MISSING}),
    "another-scheme": ("required", {"authorization": "Basic YTpi"}, {"reason": Reason.AUTHORIZATION_SCHEME}),
    "no-proof": ("required", {"authorization": f"DPoP {TOKEN}"}, {"reason": Reason.PROOF_MISSING, "scheme": "DPoP"}),
    "bearer": ("required", BEARER, {"reason": Reason.BEARER_NOT_ACCEPTED, "scheme": "Bearer"}),
    "bearer-accepted": ("mixed", BEARER, {"outcome": "accepted", "scheme": "Bearer", **UNBOUND}),
    "old-proof": ("required", {"iat": 90}, {**PROOF, "reason": Reason.ISSUED_IN_FUTURE, "clock_offset": -90.0}),
}


@pytest.mark.parametrize(("mode", "headers", "known"), KNOWN.values(), ids=KNOWN)
async def test_a_decision_tells_what_was_known_by_then(make, decisions, clock, mode, headers, known):
    resource = make(mode=mode)
    resource.tokens[TOKEN] = AccessToken(client_id="old")
    if "iat" in headers:
        headers = resource.headers(claims={"iat": clock.now + headers["iat"]})
    with nullcontext() if mode == "mixed" else pytest.raises(Refusal):
        await resource.authenticator.authenticate(incoming(headers))
    assert [_facts(decision) for decision in decisions] == [{"outcome": "refused", **known}]


async def test_an_accepted_request_tells_everything(make, decisions, clock, client):
    resource = make(nonces=NoncePolicy())
    resource.tokens[TOKEN] = AccessToken(client_id="shop", key_thumbprint=client.thumbprint)
    nonce = await resource.authenticator.challenge_nonce()
    for _ in range(2):
        await resource.accept(resource.headers(nonce=nonce, claims={"iat": clock.now - 3}))
    known = {**PROOF, "outcome": "accepted", "bound": True, "client_id": "shop", "token_remembered": False}
    first, second = decisions
    assert _facts(first) == {**known, "clock_offset": 3.0}
    assert _facts(second) == {**known, "clock_offset": 3.0, "key_remembered": True}
    assert first.nonce_age == clock.now % 60
    assert min(first.token_seconds, first.store_seconds, second.store_seconds) > 0


async def test_a_remembered_token_takes_no_time(decisions, issuer, client, clock):
    api = Api(App(), issuer, client, clock, observer=decisions.append)
    for _ in range(2):
        await api.request()
    assert [decision.token_remembered for decision in decisions] == [False, True]
    assert decisions[0].token_seconds > 0
    assert decisions[1].token_seconds is None


async def test_a_route_that_needs_more_is_a_second_decision(make, decisions):
    resource = make()
    caller = await resource.accept()
    with pytest.raises(Exception, match="scope"):
        resource.authenticator.authorize(caller, Requirement("orders:write"))
    assert [(decision.outcome, decision.after_acceptance) for decision in decisions] == [
        ("accepted", False),
        ("refused", True),
    ]
    assert _facts(decisions[1]) == {
        "outcome": "refused",
        "reason": Reason.SCOPE_INSUFFICIENT,
        "scheme": "DPoP",
        "bound": True,
        "after_acceptance": True,
    }


@pytest.mark.parametrize(
    ("error", "outcome", "unavailable"),
    [
        (InvalidToken(Reason.TOKEN_REJECTED), "refused", None),
        (IssuerUnavailable("away"), "unavailable", "issuer"),
        (StoreError("away"), "unavailable", "store"),
    ],
    ids=["no", "issuer-away", "store-away"],
)
async def test_a_token_that_is_not_accepted_tells_how_long_that_took(make, decisions, error, outcome, unavailable):
    async def verify(_):
        raise error

    resource = make(verify_token=verify)
    with pytest.raises(type(error)):
        await resource.accept()
    [decision] = decisions
    assert (decision.outcome, decision.unavailable) == (outcome, unavailable)
    assert decision.token_seconds > 0
    assert (decision.bound, decision.store_seconds, resource.store.calls) == (None, None, [])


async def test_nothing_in_a_decision_is_secret(make, decisions, client):
    resource = make(nonces=NoncePolicy())
    nonce = await resource.authenticator.challenge_nonce()
    headers = resource.headers(nonce=nonce, claims={"jti": "secret-jti"})
    await resource.accept(headers)
    await resource.reason(headers)
    for secret in (TOKEN, nonce, "secret-jti", headers["DPoP"], client.thumbprint):
        assert secret not in repr(decisions)


async def test_without_an_observer_nothing_is_made_for_one(clock, client, monkeypatch):
    monkeypatch.setattr("dpop_asgi.authenticator.Seen", None)
    monkeypatch.setattr("dpop_asgi.observers.time", None)
    await Resource(clock, client).accept()
