"""The authorization server's half: RFC 9449 §5, §8 and §10.1."""

import asyncio
import logging
from collections import Counter
from itertools import product
from typing import Annotated
from unittest.mock import AsyncMock

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from dpop_asgi import (
    InvalidGrant,
    MemoryStore,
    ProofPolicy,
    Reason,
    TokenEndpointDPoP,
    check_grant_key,
    dpop_from,
    record_proof,
)
from dpop_asgi.asgi.target_uri import RequestURL
from tests.asgi.token_endpoint import AS_URL, PATH, TokenServer, error_of
from tests.conformance.hostile_proofs import BY_REASON
from tests.support.api import App
from tests.support.challenges import NQCHAR

# One for each reason and what is wrong; the core is sent all of them. There is no token that `ath` could be wrong for.
HOSTILE = {
    (reason, name.split()[0]): make
    for reason, rows in BY_REASON.items()
    for name, make in rows.items()
    if reason is not Reason.TOKEN_HASH_MISMATCH
}


@pytest.fixture
def make_server(clock, client):
    def make_server(inner=None, **options):
        return TokenServer(clock, client, inner, **options)

    return make_server


@pytest.fixture
def server(make_server):
    return make_server()


# What is accepted


@pytest.mark.requirement("R-4.2-12", "R-9-02")
async def test_the_endpoint_gets_the_thumbprint_of_the_key(make_server, client):
    decisions = []
    server = make_server(observer=decisions.append)
    assert (await server.request()).status == 200
    assert server.inner.seen == [client.thumbprint]
    await server.request(nonce=None)
    assert [(one.outcome, one.reason) for one in decisions] == [("accepted", None), ("refused", Reason.NONCE_MISSING)]


@pytest.mark.parametrize("ath", ["", "not-the-right-hash"])
async def test_there_is_no_token_that_ath_could_be_wrong_for(server, ath):
    assert (await server.request(claims={"ath": ath})).status == 200


@pytest.mark.parametrize(
    ("path", "root_path", "is_endpoint"),
    [
        *((path, "", True) for path in ("/token", "/par", "/par/", "/par%0A", "/%74oken?x")),
        *((path, "", False) for path in ("/userinfo", "//token", "/TOKEN")),
        ("/token", "/as", True),
        ("/as/token", "/as", True),
        # For some routers, these are the endpoint, too.
        *((path, "/as", True) for path in ("token", "/token#x", "/astoken", "/x/as/token")),
    ],
    ids=str,
)
async def test_the_paths_of_the_endpoints_are_looked_at_as_routers_match_them(
    make_server, path, root_path, is_endpoint
):
    """Routers leave the root path out, redirect or serve a slash at the end, and match a line feed there."""
    server = make_server(paths=["/token", "/par"], required=True)
    answer = await server.send(path=path, root_path=root_path)
    if is_endpoint:
        assert error_of(answer) == "invalid_dpop_proof"
    else:
        assert answer.status == 200
        with pytest.raises(LookupError, match="TokenEndpointDPoP"):
            dpop_from(HTTPConnection(server.inner.scopes[0]))


# What is not


@pytest.mark.requirement("R-4.2-03", "R-11.1-01", "R-FAPI-01")
@pytest.mark.parametrize(("seconds", "status"), [(-301, 400), (-300, 200), (60, 200), (61, 400)])
async def test_the_limits_for_proofs_are_those_of_a_resource_server(make_server, clock, seconds, status):
    server = make_server(nonces=None)
    assert server.verifier.proof_policy == ProofPolicy()
    assert (await server.request(claims={"iat": int(clock()) + seconds})).status == status


@pytest.mark.requirement(
    "R-4.3-02", "R-4.2-01", "R-4.2-02", "R-4.2-04", "R-4.2-05", "R-4.2-06", "R-4.2-07", "R-4.2-10", "R-4.2-11",
    "R-4.3-03", "R-4.3-04", "R-4.3-05", "R-4.1-03", "R-4.1-04", "R-4.3-06", "R-4.3-08", "R-4.3-12",
    "R-4.3-17", "R-11.5-01",
)  # fmt: skip
@pytest.mark.parametrize(("reason", "make"), [pytest.param(r, m, id=f"{r} {n}") for (r, n), m in HOSTILE.items()])
async def test_a_hostile_proof_is_rejected(server, caplog, reason, make):
    caplog.set_level(logging.INFO, "dpop_asgi")
    await server.learn()
    server.proof = lambda method="GET", **changes: TokenServer.proof(server, method, **changes)
    assert error_of(await server.send(make(server), method="GET")) == "invalid_dpop_proof"
    assert (caplog.records[-1].dpop_reason, server.inner.scopes) == (reason, [])
    assert (await server.send(server.proof(), method="GET")).status == 200


async def test_a_rejection_is_logged_as_those_of_a_resource_server_are(server, caplog):
    """N10: with what is known of the request, at the level that fits."""
    caplog.set_level(logging.DEBUG, "dpop_asgi")
    await server.learn()
    proof = server.proof()
    for _ in range(2):
        await server.send(proof)
    *_, replay = caplog.records
    assert (replay.levelname, replay.dpop_reason) == ("WARNING", Reason.PROOF_REPLAYED)
    assert replay.getMessage().startswith('rejected: proof_replayed path="/token" peer=')


@pytest.mark.requirement("R-4.3-01")
async def test_more_than_one_proof_is_rejected(server):
    await server.learn()
    one, other = server.proof(), server.proof()
    for proofs in [(one, other), (one, one), (f"{one}, {other}",)]:
        assert error_of(await server.send(*proofs)) == "invalid_dpop_proof"
    assert (await server.send(one)).status == 200


@pytest.mark.parametrize("required", [True, False])
async def test_a_proof_may_be_required(make_server, required):
    server = make_server(required=required)
    answer = await server.send()
    if required:
        assert error_of(answer) == "invalid_dpop_proof"
    else:
        assert (answer.status, answer.all("dpop-nonce"), server.inner.seen) == (200, [], [None])
    assert (await server.request()).status == 200
    head = await server.send("no proof", method="HEAD")
    assert (head.status, head.body) == (400, b"")


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("target_uri", [None, RequestURL(allowed_hosts=["as.example:8443"])], ids=["none", "another"])
async def test_a_host_that_is_not_served_is_rejected(make_server, target_uri):
    assert error_of(await make_server(public_url=None, target_uri=target_uri).request()) == "invalid_request"


# Nonces


@pytest.mark.requirement("R-9-02", "R-8-01", "R-8-03", "R-9-04", "R-11.3-01")
@pytest.mark.parametrize("nonce", [None, "", "wrong", "w" * 22, "\u20ac"])
async def test_a_proof_without_a_good_nonce_is_challenged_with_one(server, nonce):
    challenged = await server.request(nonce=nonce)
    assert error_of(challenged) == "use_dpop_nonce"
    assert NQCHAR.fullmatch(challenged.one("dpop-nonce"))
    assert server.inner.scopes == []
    assert (await server.request(nonce=challenged.one("dpop-nonce"))).status == 200


@pytest.mark.requirement("R-9-03")
async def test_the_nonces_of_a_resource_server_are_not_those_of_the_token_endpoint(make_server, make_api, store):
    server, api = make_server(store=store), make_api(store=store)
    own, of_the_api = await server.verifier.challenge_nonce(), await api.authenticator.challenge_nonce()
    assert error_of(await server.request(nonce=of_the_api)) == "use_dpop_nonce"
    assert (await api.request(nonce=own)).status == 401
    assert ((await server.request(nonce=own)).status, (await api.request(nonce=of_the_api)).status) == (200, 200)
    await server.verifier.ready()
    assert {call.key.split(":")[0] for call in store.calls} == {"dpop", "dpop-as"}


@pytest.mark.requirement("R-8-04", "R-8-05", "R-8-06", "R-8-07", "R-9449-NS")
@pytest.mark.parametrize("status", [200, 201, 400, 401, 500])
async def test_an_older_nonce_is_answered_with_the_newer_one_whatever_the_endpoint_answers(make_server, clock, status):
    server = make_server(App(status, [("cache-control", "max-age=60"), ("DPoP-Nonce", "of-the-endpoint")]))
    nonce = await server.verifier.challenge_nonce()
    clock.advance(60.0)
    answer = await server.request(nonce=nonce)
    assert (answer.status, answer.one("cache-control")) == (status, "no-store")
    newer = answer.one("dpop-nonce")
    assert newer == await server.verifier.challenge_nonce()
    again = await server.request(nonce=newer)
    assert (again.all("dpop-nonce"), again.one("cache-control")) == ([], "max-age=60")
    clock.advance(120.0)
    assert error_of(await server.request(nonce=newer)) == "use_dpop_nonce"


@pytest.mark.requirement("R-9-01", "R-9-06")
async def test_without_nonces_none_is_issued(make_server):
    server = make_server(nonces=None)
    assert (await server.request(nonce="whatever")).all("dpop-nonce") == []
    assert error_of(await server.send("no proof"), nonces=False) == "invalid_dpop_proof"


# Single use


@pytest.mark.requirement("R-11.1-04", "R-7.3-01", "R-9-07")
async def test_a_proof_is_used_once_by_all_workers(make_server, store):
    servers = [make_server(store=store), make_server(store=store)]
    await servers[0].learn()
    proof = servers[0].proof()
    answers = await asyncio.gather(*(server.send(proof) for server in servers * 10))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 19
    assert {error_of(answer) for answer in answers if answer.status == 400} == {"invalid_dpop_proof"}
    assert sum(len(server.inner.scopes) for server in servers) == 1


@pytest.mark.requirement("R-11.1-05", "R-11.1-08")
async def test_a_jti_is_used_for_its_key_and_endpoint_and_by_accepted_proofs_only(server, other_client):
    same = {"claims": {"jti": "the-same"}}
    assert error_of(await server.request(nonce=None, **same)) == "use_dpop_nonce"
    assert (await server.request(**same)).status == 200
    assert error_of(await server.request(**same)) == "invalid_dpop_proof"
    assert error_of(await server.request(path="/par", uri=AS_URL + PATH, **same)) == "invalid_dpop_proof"
    assert (await server.request(path="/par", **same)).status == 200
    assert (await server.request(client=other_client, **same)).status == 200


@pytest.mark.requirement("R-11.1-06")
async def test_a_used_proof_is_remembered_as_long_as_it_could_be_accepted(make_server, store, clock):
    server = make_server(nonces=None, store=store)
    assert (await server.request(claims={"iat": int(clock()) + 60})).status == 200
    assert [call.ttl for call in store.proofs] == [370.0]


@pytest.mark.requirement("R-7.1-06", "R-4.3-12")
async def test_a_proof_for_one_server_is_of_no_use_at_the_other(make_server, make_api, store):
    """On one store and in one namespace, with nonces that both accept."""
    server, api = make_server(store=store, namespace="dpop"), make_api(store=store)
    await server.learn()
    for path in ("/r", PATH):
        fields = await api.fields("POST", path, nonce=server.nonce)
        assert error_of(await server.send(fields["DPoP"])) == "invalid_dpop_proof"
    assert (await api.request("POST", without=["DPoP"], also=[("DPoP", server.proof())])).status == 401
    assert (await server.request()).status == 200


# Recorded by the endpoint, once it has authenticated the client


def _later(make_server, endpoint, **options):
    app = Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])
    return make_server(app, record_later=True, **options)


async def test_who_is_not_authenticated_writes_nothing_to_the_store(make_server, store):
    decisions = []

    async def reject(request):
        with pytest.raises(LookupError, match="record_proof"):
            dpop_from(request)
        return Response(status_code=401)

    server = _later(make_server, reject, store=store, observer=decisions.append)
    await server.learn()
    before, proof = len(store.calls), server.proof()
    assert [(await server.send(proof)).status for _ in range(3)] == [401] * 3
    assert (len(store.calls), decisions) == (before, [])


async def test_a_proof_that_the_endpoint_records_is_used_once(make_server, client):
    decisions = []

    async def accept(request):
        keys = {await record_proof(request), await record_proof(request), dpop_from(request)}
        return Response(",".join(map(str, keys)))

    server = _later(make_server, accept, observer=decisions.append)
    await server.learn()
    proof = server.proof()
    answers = await asyncio.gather(*(server.send(proof) for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 1, 400: 19}
    assert {error_of(answer) for answer in answers if answer.status == 400} == {"invalid_dpop_proof"}
    assert client.thumbprint.encode() in {answer.body for answer in answers}
    assert Counter(one.reason for one in decisions) == {None: 1, Reason.PROOF_REPLAYED: 19}
    assert (await server.send()).body == b"None"


async def test_a_proof_that_expires_before_it_is_recorded_is_rejected(make_server, clock):
    async def late(request):
        clock.advance(1000)
        await record_proof(request)

    server = _later(make_server, late, nonces=None)
    assert error_of(await server.request(), nonces=False) == "invalid_dpop_proof"


# While the store is away


@pytest.mark.requirement("R-9-08")
async def test_while_the_store_is_away_no_proof_is_accepted(make_server, store, caplog):
    store.down = True
    server = make_server(store=store)
    caplog.set_level(logging.INFO, "dpop_asgi")
    for proof in (server.proof(nonce="x" * 22), "no proof"):
        answer = await server.send(proof)
        assert (answer.status, answer.one("retry-after"), answer.all("dpop-nonce")) == (503, "1", [])
    assert "unavailable: the store is down" in caplog.text
    store.down = False
    assert (await server.request()).status == 200
    store.down = True
    assert (await server.request()).status == 503
    assert error_of(await server.request(nonce=None)) == "use_dpop_nonce"
    assert len(server.inner.scopes) == 1
    assert (await server.send()).status == 200, "without a proof there is nothing to look up"


# Rejections by the endpoint itself


async def _grant(request: Request):
    check_grant_key("x" * 43, dpop_from(request))


async def _grouped(request: Request):
    async with asyncio.TaskGroup() as group:
        group.create_task(_grant(request))


async def _depends(key: Annotated[str | None, Depends(dpop_from)]):
    check_grant_key("x" * 43, key)


def _wrapped(endpoint, guard):
    return guard.cls(Starlette(routes=[Route(PATH, endpoint, methods=["POST"])]), **guard.kwargs)


def _added(endpoint, guard):
    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])], middleware=[guard])


def _of_the_route(endpoint, guard):
    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"], middleware=[guard])])


def _fastapi(endpoint, guard):
    app = FastAPI(middleware=[guard])
    app.post(PATH)(endpoint)
    return app


def _mounted(endpoint, guard):
    """Below a prefix, which the client's proof has and `paths` has, too."""
    guard.kwargs["paths"] = [f"/as{PATH}"]
    return Starlette(routes=[Mount("/as", _added(endpoint, guard))])


@pytest.mark.requirement("R-11.9-01")
@pytest.mark.parametrize(
    ("build", "endpoint"),
    [
        *product([_wrapped, _added, _of_the_route, _mounted, _fastapi], [_grant, _grouped]),
        (_fastapi, _depends),
    ],
)
async def test_a_grant_that_is_bound_to_another_key_is_rejected(server, build, endpoint):
    server.app = build(endpoint, Middleware(TokenEndpointDPoP, verifier=server.verifier, public_url=AS_URL))
    path = f"/as{PATH}" if build is _mounted else PATH
    assert error_of(await server.request(path=path)) == "invalid_grant"
    assert error_of(await server.send(path=path)) == "invalid_grant"


async def test_other_errors_of_the_endpoint_are_not_hidden(make_server):
    async def fails(scope, receive, send):
        raise ZeroDivisionError

    async def late(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise InvalidGrant(Reason.GRANT_KEY_MISMATCH)

    async def both(scope, receive, send):
        raise ExceptionGroup("both", [InvalidGrant(Reason.GRANT_KEY_MISMATCH), ZeroDivisionError()])

    for app, kind in [(fails, ZeroDivisionError), (late, InvalidGrant), (both, ExceptionGroup)]:
        with pytest.raises(kind):
            await make_server(app).request()


# Around it


@pytest.mark.requirement("R-CORS-01", "R-CORS-03")
async def test_scripts_on_other_origins_can_read_the_nonce(make_server, clock):
    server = make_server(App(headers=[("Access-Control-Expose-Headers", "X-Request-Id")]))
    nonce = await server.verifier.challenge_nonce()
    clock.advance(60.0)
    origin = [("origin", "https://app.example")]
    answer = await server.send(server.proof(nonce=nonce), also=origin)
    assert answer.one("access-control-expose-headers") == "X-Request-Id, DPoP-Nonce, WWW-Authenticate"
    answer = await server.send(server.proof(nonce="old"), also=origin)
    assert "DPoP-Nonce" in answer.one("access-control-expose-headers")
    assert (await server.send(also=origin)).one("access-control-expose-headers") == "X-Request-Id"


async def test_what_is_no_http_request_is_not_looked_at(server):
    server.app.app = app = AsyncMock()
    await server.app({"type": "websocket", "path": PATH, "headers": [(b"dpop", b"x")]}, None, None)
    app.assert_awaited_once()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("paths", ["token"]), ("required", "yes"), ("record_later", "yes"), ("target_uri", asyncio.sleep)],
        *[("store", None), ("proof_policy", {}), ("nonces", 60), ("namespace", ""), ("namespace", "\n")],
        *(("paths", paths) for paths in ("/token*", ["/token?x"], [3], 3)),  # N23
        ("target_uri", MemoryStore),
        ("public_url", "http://as.example"),
    ],
)
def test_a_wrong_option_is_named(make_server, option, value):
    with pytest.raises(ValueError, match=f"^{option}: "):
        make_server(**{"public_url": None, option: value})


def test_anything_but_a_verifier_is_rejected():
    with pytest.raises(ValueError, match=r"^verifier: "):
        TokenEndpointDPoP(App(), verifier=None)
