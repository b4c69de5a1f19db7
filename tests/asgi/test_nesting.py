"""An instance inside another reuses what was verified, and never weakens or repeats it."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dpop_asgi import (
    DPoPMiddleware,
    InsufficientScope,
    MemoryStore,
    NoncePolicy,
    Revocations,
    StoreUnavailable,
    caller_from,
)
from dpop_asgi.starlette import authenticate
from tests.support.api import PUBLIC_URL, App, call, http_scope
from tests.support.decisions import CountingStore
from tests.support.fenced_store import FencedStore, RevocableStore


async def _who(request):
    return PlainTextResponse(caller_from(request).subject or "")


async def _refuse(request):
    raise InsufficientScope("a:b")


def _mounted(api, **options):
    """A Starlette app below /v2 with an instance of its own, in the app of `api`."""
    own = Middleware(DPoPMiddleware, authenticator=api.authenticator, public_url=PUBLIC_URL, **options)
    inner = Starlette(routes=[Route("/who", _who), Route("/refuse", _refuse)], middleware=[own])
    return Starlette(routes=[Mount("/v2", inner)])


@pytest.fixture(params=[False, True], ids=["same-authenticator", "another-authenticator"])
def both(request, make_api, store):
    """The outer instance, and the inner one, which may have an authenticator of its own."""
    outer = make_api(store=store)
    return outer, make_api(store=store) if request.param else outer


@pytest.mark.requirement("R-11.1-04", "R-8-04")
async def test_a_mounted_instance_repeats_nothing(both, store, clock):
    outer, inner = both
    outer.wrap(_mounted(inner), public_url=PUBLIC_URL)
    older = await outer.authenticator.challenge_nonce()
    clock.advance(60.0)
    answer = await outer.request(path="/v2/who", nonce=older)
    assert (answer.status, answer.body) == (200, b"alice")
    assert answer.one("dpop-nonce") == await outer.authenticator.challenge_nonce()
    assert len(store.proofs) == 1
    rejected = await outer.request(path="/v2/refuse")
    assert (rejected.status, len(rejected.all("www-authenticate"))) == (403, 1)


@pytest.mark.parametrize("present_as", [None, "bearer"])
async def test_three_instances_around_one_app_are_as_good_as_one(make_api, store, present_as):
    decisions = []
    api = make_api(store=store, observer=decisions.append)
    inner = api.wrap(App(), public_url=PUBLIC_URL)
    api.wrap(api.wrap(inner, public_url=PUBLIC_URL, present_as=present_as), public_url=PUBLIC_URL)
    assert (await api.request()).status == 200
    assert [decision.outcome for decision in decisions] == ["accepted"]
    assert len(store.proofs) == 1


async def test_an_instance_below_an_open_path_asks_for_itself(make_api, store):
    api = make_api(store=store)
    api.wrap(_mounted(api), public_url=PUBLIC_URL, public_paths=["/v2/"])
    assert (await api.anonymous(path="/v2/who")).status == 401
    assert (await api.request(path="/v2/who")).body == b"alice"
    assert len(store.proofs) == 1


async def test_an_open_path_of_the_inner_instance_does_not_open_the_outer(make_api):
    api = make_api()
    api.wrap(_mounted(api, public_paths=["/v2/who"]), public_url=PUBLIC_URL)
    assert (await api.anonymous(path="/v2/who")).status == 401
    assert (await api.request(path="/v2/who")).body == b"alice"


@pytest.mark.requirement("R-7.2-08")
@pytest.mark.parametrize("mode", ["required", "mixed"])
async def test_what_passed_an_outer_instance_as_bearer_does_not_pass_a_stricter_inner_one(make_api, issuer, mode):
    inner, outer = make_api(mode=mode), make_api(mode="mixed")
    outer.wrap(_mounted(inner), public_url=PUBLIC_URL)
    assert (await outer.request(path="/v2/who")).status == 200
    answer = await outer.anonymous(path="/v2/who", also=[("authorization", f"Bearer {issuer.access_token()}")])
    if mode == "mixed":
        assert answer.status == 200
    else:
        assert (answer.status, answer.one("www-authenticate").startswith('DPoP error="invalid_token"')) == (401, True)


@pytest.mark.parametrize("kind", [MemoryStore, RevocableStore])
async def test_a_key_that_is_revoked_for_the_inner_instance_is_rejected_by_it(make_api, client, clock, kind):
    store = kind(clock=clock)
    outer, inner = make_api(), make_api(store=store, namespace="inner")
    outer.wrap(_mounted(inner), public_url=PUBLIC_URL)
    assert (await outer.request(path="/v2/who")).status == 200
    await Revocations(store, namespace="inner", clock=clock).revoke_key(client.thumbprint)
    clock.advance(1.0)
    answer = await outer.request(path="/v2/who")
    assert (answer.status, 'error="invalid_token"' in answer.one("www-authenticate")) == (401, True)


async def test_nonces_that_are_revoked_for_the_inner_instance_are_rejected_by_it(make_api, clock):
    """It checks them, as the outer instance has none."""
    store = MemoryStore(clock=clock)
    outer, inner = make_api(nonces=None), make_api(store=store, namespace="inner")
    outer.wrap(_mounted(inner), public_url=PUBLIC_URL)
    nonce = await inner.authenticator.challenge_nonce()
    assert (await outer.request(path="/v2/who", nonce=nonce)).status == 200
    await Revocations(store, namespace="inner", clock=clock).revoke_nonces()
    clock.advance(20.0)
    answer = await outer.request(path="/v2/who", nonce=nonce)
    assert (answer.status, 'error="use_dpop_nonce"' in answer.one("www-authenticate")) == (401, True)


@pytest.mark.requirement("R-8-04", "R-9-03")
async def test_an_inner_instance_with_nonces_of_its_own_hands_none_of_them_out(make_api):
    """Clients keep one nonce per origin: that of the instance that asked for it."""
    outer, inner = make_api(), make_api(nonces=NoncePolicy(period=30.0))
    outer.wrap(_mounted(inner), public_url=PUBLIC_URL)
    await inner.authenticator.challenge_nonce()
    assert (await outer.request(path="/v2/who")).all("dpop-nonce") == []


async def test_a_member_of_the_scope_that_only_looks_like_a_caller_is_not_believed(api):
    scope = http_scope(**{"dpop_asgi.caller": {"subject": "mallory", "key_thumbprint": "x"}, "user": "mallory"})
    assert (await call(api.app, scope)).status == 401


def _between(change):
    """A layer between two instances that changes what the inner one is handed."""
    return lambda app: lambda scope, receive, send: app(change(dict(scope)), receive, send)


def _replacing(**members):
    return _between(lambda scope: scope | members)


def _dropping_in_place(scope):
    scope["headers"][:] = [pair for pair in scope["headers"] if pair[0] != b"dpop"]
    return scope


CHANGES = [
    pytest.param(_replacing(method="DELETE"), {}, "method_mismatch", id="method"),
    pytest.param(_replacing(path="/admin", raw_path=b"/admin"), {}, "target_mismatch", id="path"),
    pytest.param(_replacing(headers=[]), {}, "authorization_missing", id="headers"),
    pytest.param(_between(_dropping_in_place), {}, "proof_missing", id="headers-in-place"),
    pytest.param(_replacing(), {"public_url": "https://other.example"}, "target_mismatch", id="another-public-url"),
    pytest.param(_replacing(), {"public_url": None}, "host_not_allowed", id="no-public-url"),
]


@pytest.mark.parametrize(("layer", "options", "reason"), CHANGES)
async def test_what_the_outer_instance_did_not_judge_is_judged_by_the_inner_one(both, caplog, layer, options, reason):
    """Z07."""
    caplog.set_level("INFO")
    (outer, inner), app = both, App()
    outer.wrap(layer(inner.wrap(app, **{"public_url": PUBLIC_URL, **options})), public_url=PUBLIC_URL)
    answer = await outer.request()
    assert (answer.status, app.scopes) == (400 if reason == "host_not_allowed" else 401, [])
    assert [record.dpop_reason for record in caplog.records if hasattr(record, "dpop_reason")] == [reason]


async def test_a_proof_that_the_outer_instance_could_not_record_is_recorded_by_a_stricter_inner_one(make_api, clock):
    """Z07: the outer one goes on without its store."""
    away, store = CountingStore(clock), CountingStore(clock)
    lenient = make_api(store=away, on_store_failure="accept")
    strict = make_api(store=store)
    lenient.wrap(strict.wrap(App(), public_url=PUBLIC_URL), public_url=PUBLIC_URL)
    sent = await lenient.fields()
    away.down = True
    scope = http_scope(headers=sent.items())
    assert [(await call(lenient.app, dict(scope))).status for _ in range(2)] == [200, 401]
    assert len(store.proofs) == 2


class View:
    """A store as one of its workers reaches it."""

    def __init__(self, store):
        self._store = store
        self.down = False

    async def put_if_absent(self, key, value, *, ttl):
        if self.down:
            raise StoreUnavailable("the store is down")
        return await self._store.put_if_absent(key, value, ttl=ttl)


class SharedStore(FencedStore):
    """It is unavailable to whoever records the next proof, and is another incarnation right afterwards."""

    ends = False

    async def put_if_absent(self, key, value, *, ttl, under=None):
        if self.ends and ":jti:" in key:
            self.ends = False
            self.become("two")
            raise StoreUnavailable("the server has ended")
        return await super().put_if_absent(key, value, ttl=ttl, under=under)


@pytest.mark.requirement("R-11.1-04")
@pytest.mark.parametrize(
    "between",
    [
        pytest.param([], id="two"),
        pytest.param([{"on_store_failure": "accept", "namespace": "between"}], id="another-lenient-one-between"),
        pytest.param([{"namespace": "between"}], id="a-strict-one-between"),
    ],
)
@pytest.mark.parametrize("same", [True, False], ids=["same-store", "another-store"])
async def test_a_proof_that_a_lenient_outer_instance_recorded_is_accepted_once_by_a_stricter_inner_one(
    make_api, clock, between, same
):
    """Z07: the outer one loses its store afterwards."""
    inside = CountingStore(clock)
    store = View(inside if same else CountingStore(clock))
    lenient = make_api(store=store, on_store_failure="accept")
    app = make_api(store=inside, nonces=None).wrap(App(), public_url=PUBLIC_URL)
    for options in between:
        app = make_api(store=CountingStore(clock), **options).wrap(app, public_url=PUBLIC_URL)
    lenient.wrap(app, public_url=PUBLIC_URL)
    scope = http_scope(headers=(await lenient.fields()).items())
    assert (await call(lenient.app, dict(scope))).status == 200
    store.down = True
    assert (await call(lenient.app, dict(scope))).status == 401


async def test_what_a_store_may_have_forgotten_is_not_recorded_by_the_inner_instance_either(make_api, clock):
    """The nonce was checked by the outer one, under an incarnation of the store that has ended."""
    store = SharedStore(clock)
    lenient, strict = make_api(store=store, on_store_failure="accept"), make_api(store=store)
    lenient.wrap(strict.wrap(App(), public_url=PUBLIC_URL), public_url=PUBLIC_URL)
    scope = http_scope(headers=(await lenient.fields()).items())
    assert (await call(lenient.app, dict(scope))).status == 200
    store.ends = True
    assert (await call(lenient.app, dict(scope))).status == 503


def _asks_around(inner):
    """A layer that asks when the response begins, after the route inside has asked."""

    async def app(scope, receive, send):
        async def asking(message):
            if message["type"] == "http.response.start":
                await authenticate(HTTPConnection(scope))
            await send(message)

        await inner(scope, receive, asking)

    return app


async def _asks(scope, receive, send):
    caller = await authenticate(HTTPConnection(scope), "orders:read")
    await PlainTextResponse(caller.subject)(scope, receive, send)


@pytest.mark.parametrize(
    ("between", "options", "status", "spent"),
    [
        pytest.param(_asks_around, {}, 200, 1, id="asked-inside-and-outside"),
        pytest.param(_replacing(), {"public_url": "https://other.example"}, 401, 0, id="another-public-url"),
        pytest.param(_replacing(method="DELETE"), {}, 401, 0, id="another-method"),
        pytest.param(_replacing(headers=[]), {}, 401, 0, id="other-credentials"),
    ],
)
async def test_where_routes_ask_an_instance_inside_another_asks_the_outer_one(
    make_api, store, between, options, status, spent
):
    """Unless the two see different requests: then each judges its own."""
    api = make_api(_asks, store=store, protect="routes", **options)
    api.wrap(between(api.app), public_url=PUBLIC_URL, protect="routes")
    assert ((await api.request()).status, len(store.proofs)) == (status, spent)


async def test_where_routes_ask_an_instance_with_an_authenticator_of_its_own_judges_by_itself(make_api, store):
    outer, inner = make_api(protect="routes"), make_api(_asks, store=store, protect="routes")
    outer.wrap(inner.app, public_url=PUBLIC_URL, protect="routes")
    sent = await inner.fields()
    answer = await call(outer.app, http_scope(headers=sent.items()))
    assert (answer.status, len(store.proofs)) == (200, 1)
