"""What is raised inside, and what the app answers itself."""

import json

import pytest

from dpop_asgi import (
    InsufficientScope,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    IssuerUnavailable,
    MissingCredentials,
    Reason,
    StoreError,
    UseNonce,
)
from tests.support.api import App, call, http_scope, whole_answer
from tests.support.challenges import checked_challenges


class _Raises:
    """Raises; before that comes out `inner` answers, if told so, as frameworks answer to errors they do not know."""

    def __init__(self, error, inner=None):
        self._error = error
        self._inner = inner

    async def __call__(self, scope, receive, send):
        try:
            raise self._error  # noqa: TRY301 - so that it is being handled below
        except Exception:
            if self._inner is not None:
                await self._inner(scope, receive, send)
            raise


async def _request_that_fails(api, error):
    """What was sent before the error came out."""
    messages = []

    async def send(message):
        messages.append(message)

    with pytest.raises(error):
        await api.app(http_scope(headers=(await api.fields()).items()), None, send)
    return messages


REFUSALS = [
    pytest.param(MissingCredentials(Reason.AUTHORIZATION_MISSING), 401, None, id="missing-credentials"),
    pytest.param(InvalidRequest(Reason.AUTHORIZATION_MALFORMED), 400, "invalid_request", id="invalid-request"),
    pytest.param(InvalidToken(Reason.TOKEN_REJECTED), 401, "invalid_token", id="invalid-token"),
    pytest.param(InvalidProof(Reason.PROOF_REPLAYED), 401, "invalid_dpop_proof", id="invalid-proof"),
    pytest.param(UseNonce(Reason.NONCE_EXPIRED), 401, "use_dpop_nonce", id="use-nonce"),
    pytest.param(InsufficientScope("a:b", "c:d"), 403, "insufficient_scope", id="insufficient-scope"),
]


@pytest.mark.requirement("R-7.1-07", "R-7.1-09", "R-6750-03", "R-6750-04", "R-9110-02", "R-9110-04")
@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS)
async def test_a_rejection_that_the_app_raises_is_answered_as_one_of_ours(make_api, refusal, status, code):
    answer = await make_api(_Raises(refusal)).request()
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.scheme, challenge.parameters.get("error")) == (status, "DPoP", code)
    assert challenge.parameters["algs"] == "ES256 PS256 Ed25519 EdDSA"
    assert answer.one("cache-control") == "no-store"
    assert len(answer.all("dpop-nonce")) == (status == 401)


@pytest.mark.requirement("R-6750-07", "R-9110-04")
async def test_a_scope_that_is_missing_is_named(make_api):
    answer = await make_api(_Raises(InsufficientScope("a:b", "c:d"))).request()
    [challenge] = checked_challenges(answer.headers)
    assert challenge.parameters["scope"] == "a:b c:d"
    assert json.loads(answer.body)["scope"] == "a:b c:d"


async def test_a_rejection_that_the_app_raises_on_an_open_path_is_answered_too(make_api):
    api = make_api(_Raises(InvalidToken(Reason.TOKEN_REJECTED)), public_paths=["/r"])
    answer = await api.anonymous()
    assert (answer.status, len(answer.all("dpop-nonce"))) == (401, 1)


@pytest.mark.parametrize("error", [StoreError("away"), IssuerUnavailable("away")], ids=repr)
async def test_an_outage_that_the_app_raises_is_answered_with_503(make_api, error):
    answer = await make_api(_Raises(error)).request()
    assert (answer.status, answer.one("retry-after"), answer.all("www-authenticate")) == (503, "1", [])


@pytest.mark.parametrize(
    "chunks", [(b"Internal Server Error",), (b"Internal ", b"Server Error")], ids=["whole", "stream"]
)
async def test_a_500_that_is_sent_on_the_way_to_a_rejection_is_replaced(make_api, chunks):
    """Starlette answers 500 before it lets an exception out."""
    api = make_api(_Raises(InsufficientScope("a:b"), App(500, [("x-app", "1")], chunks)))
    answer = await api.request()
    assert (answer.status, answer.all("x-app")) == (403, [])
    assert b"Internal" not in answer.body


async def test_a_500_by_which_a_framework_ends_a_rejection_is_replaced(make_api):
    """X12: Litestar lets nothing out."""

    async def inner(scope, receive, send):
        try:
            await _Raises(InsufficientScope("a:b"))(scope, receive, send)
        except InsufficientScope:
            await App(500)(scope, receive, send)

    assert (await make_api(inner).request()).status == 403


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_rejection_after_the_answer_has_begun_is_not_hidden(make_api, status):
    api = make_api(_Raises(InsufficientScope("a:b"), App(status)))
    assert whole_answer(await _request_that_fails(api, InsufficientScope)).status == status


async def test_a_rejection_after_a_500_for_another_reason_is_not_hidden(make_api):
    async def inner(scope, receive, send):
        await App(500)(scope, receive, send)
        raise InsufficientScope("a:b")

    assert whole_answer(await _request_that_fails(make_api(inner), InsufficientScope)).status == 500


async def test_an_error_of_the_app_passes_with_its_500(make_api):
    api = make_api(_Raises(ZeroDivisionError(), App(500, [("x-app", "1")], (b"oops",))))
    answer = whole_answer(await _request_that_fails(api, ZeroDivisionError))
    assert (answer.status, answer.body, answer.all("x-app")) == (500, b"oops", ["1"])


async def test_an_error_of_the_app_that_is_answered_by_nobody_passes(make_api):
    assert await _request_that_fails(make_api(_Raises(ZeroDivisionError())), ZeroDivisionError) == []


async def test_a_500_that_the_app_means_passes_unchanged(make_api):
    answer = await make_api(App(500, [("x-app", "1")], (b"oops",))).request()
    assert (answer.status, answer.body, answer.headers) == (500, b"oops", ((b"x-app", b"1"),))


async def test_a_500_without_a_body_passes(make_api):
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 500})
        await send({"type": "http.response.body"})

    assert (await make_api(inner).request()).status == 500


@pytest.mark.parametrize("credentials", [True, False], ids=["protected", "open-path"])
async def test_a_500_is_sent_at_once_whatever_the_app_does_after_it(make_api, credentials):
    """X08, Z05: a background task, waiting for the client to go, a stream."""
    sent, seen = [], []

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        seen.append(len(sent))
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        seen.append(len(sent))
        await send({"type": "http.response.body", "body": b"last"})
        seen.append(len(sent))

    async def send(message):
        sent.append(message)

    api = make_api(inner, public_paths=[] if credentials else ["/r"])
    headers = await api.fields() if credentials else {}
    await api.app(http_scope(headers=headers.items()), None, send)
    assert (seen, whole_answer(sent).body) == ([1, 2, 3], b"firstlast")


@pytest.mark.requirement("R-I-01")
@pytest.mark.parametrize("refused", ["by-us", "by-the-app"])
async def test_head_is_answered_with_the_same_headers_and_no_body(make_api, refused):
    api = make_api(_Raises(InvalidToken(Reason.TOKEN_REJECTED)), public_paths=["/open"])
    path = "/r" if refused == "by-us" else "/open"
    get, head = [await api.anonymous(method, path) for method in ("GET", "HEAD")]
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert int(get.one("content-length")) == len(get.body) > 0


async def test_what_is_rejected_never_reaches_the_app(api):
    await api.anonymous()
    await api.request(nonce=None)
    await api.request(without={"DPoP"})
    assert api.inner.scopes == []


@pytest.mark.requirement("R-6750-02")
async def test_the_body_is_never_read(api):
    """`call` hands in a `receive` that fails the test."""
    assert (await api.request("POST")).status == 200
    assert (await api.anonymous("POST")).status == 401
    assert (await api.request("POST", nonce=None)).status == 401


@pytest.mark.requirement("R-6750-02")
async def test_the_app_reads_the_body_as_the_server_hands_it_over(make_api):
    async def receive():
        return {"type": "http.request", "body": b"access_token=x", "more_body": False}

    async def inner(scope, receive_inside, send):
        await App(chunks=((await receive_inside())["body"],))(scope, receive_inside, send)

    assert (await make_api(inner).request("POST", receive=receive)).body == b"access_token=x"


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param([], id="none"),
        pytest.param([("authorization", "Basic eA==")], id="basic"),
        pytest.param([("authorization", "DPoP x"), ("dpop", "junk")], id="junk"),
        pytest.param([("authorization", "DPoP x"), ("authorization", "DPoP y")], id="two"),
    ],
)
@pytest.mark.requirement("R-7.1-04", "R-6750-06", "H-09")
async def test_every_answer_of_ours_is_json_and_says_nothing_of_the_request(api, credentials):
    answer = await call(api.app, http_scope(path="/secret-path", headers=credentials))
    assert answer.one("content-type") == "application/json"
    assert json.loads(answer.body)["error_description"]
    assert b"secret-path" not in answer.body
    assert answer.all("proxy-authenticate") == []
