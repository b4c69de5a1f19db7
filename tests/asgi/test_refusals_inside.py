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
from tests.support.api import App, whole_answer
from tests.support.challenges import checked_challenges

REJECTION = InsufficientScope("a:b", "c:d")


class _Raises:
    """Raises; before that comes out `inner` answers, if told so, as frameworks answer to errors they do not know."""

    def __init__(self, error, inner=None, *, hides=False):
        self._error = error
        self._inner = inner
        self._hides = hides

    async def __call__(self, scope, receive, send):
        try:
            raise self._error  # noqa: TRY301 - so that it is being handled below
        except Exception:
            if self._inner is not None:
                await self._inner(scope, receive, send)
            if not self._hides:
                raise


def _sending(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def _in_turn(*apps):
    async def app(scope, receive, send):
        for each in apps:
            await each(scope, receive, send)

    return app


REFUSALS = [
    pytest.param(MissingCredentials(Reason.AUTHORIZATION_MISSING), 401, None, id="missing-credentials"),
    pytest.param(InvalidRequest(Reason.AUTHORIZATION_MALFORMED), 400, "invalid_request", id="invalid-request"),
    pytest.param(InvalidToken(Reason.TOKEN_REJECTED), 401, "invalid_token", id="invalid-token"),
    pytest.param(InvalidProof(Reason.PROOF_REPLAYED), 401, "invalid_dpop_proof", id="invalid-proof"),
    pytest.param(UseNonce(Reason.NONCE_EXPIRED), 401, "use_dpop_nonce", id="use-nonce"),
    pytest.param(REJECTION, 403, "insufficient_scope", id="insufficient-scope"),
]


@pytest.mark.requirement("R-7.1-07", "R-7.1-09", "R-6750-03", "R-6750-04", "R-6750-07", "R-9110-02", "R-9110-04")
@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS)
async def test_a_rejection_that_the_app_raises_is_answered_as_one_of_ours(make_api, refusal, status, code):
    api = make_api(_Raises(refusal), public_paths=["/open"])
    for answer in (await api.request(), await api.anonymous(path="/open")):
        [challenge] = checked_challenges(answer.headers)
        assert (answer.status, challenge.scheme, challenge.parameters.get("error")) == (status, "DPoP", code)
        assert challenge.parameters["algs"] == "ES256 PS256 Ed25519 EdDSA"
        assert answer.one("cache-control") == "no-store"
        assert len(answer.all("dpop-nonce")) == (status == 401)
        content = json.loads(answer.body)
        assert challenge.parameters.get("scope") == content.get("scope") == ("a:b c:d" if status == 403 else None)
        assert content["error_description"]
        assert answer.all("proxy-authenticate") == []


@pytest.mark.parametrize("error", [StoreError("away"), IssuerUnavailable("away")], ids=repr)
async def test_an_outage_that_the_app_raises_is_answered_with_503(make_api, error):
    answer = await make_api(_Raises(error)).request()
    assert (answer.status, answer.one("retry-after"), answer.all("www-authenticate")) == (503, "1", [])


HINT = {"type": "http.response.early_hint", "links": []}


@pytest.mark.parametrize(
    ("inner", "hides"),
    [
        pytest.param(App(500, [("x-app", "1")], (b"Internal Server Error",)), False, id="whole"),
        pytest.param(App(500, [("x-app", "1")], (b"Internal ", b"Server Error")), False, id="stream"),
        pytest.param(App(500, [("x-app", "1")], (b"Internal",)), True, id="X12-Litestar-lets-nothing-out"),
        pytest.param(_sending(HINT), False, id="an-early-hint"),
        pytest.param(_in_turn(_sending(HINT), App(500)), False, id="an-early-hint-and-a-500"),
    ],
)
async def test_what_is_sent_on_the_way_to_a_rejection_is_replaced_but_for_early_hints(make_api, sent_by, inner, hides):
    """Starlette answers 500 before it lets an exception out."""
    sent, _ = await sent_by(make_api(_Raises(REJECTION, inner, hides=hides)))
    hints = [message for message in sent if message == HINT]
    answer = whole_answer(sent[len(hints) :])
    assert (answer.status, answer.all("x-app")) == (403, [])
    assert b"Internal" not in answer.body
    assert len(hints) == (isinstance(inner, App) is False)


@pytest.mark.parametrize(
    ("inner", "error", "status"),
    [
        *(pytest.param(_Raises(REJECTION, App(s)), InsufficientScope, s, id=f"after-a-{s}") for s in (200, 400, 503)),
        pytest.param(
            _in_turn(App(500), _Raises(REJECTION)), InsufficientScope, 500, id="after-a-500-of-another-reason"
        ),
        pytest.param(_Raises(ZeroDivisionError(), App(500)), ZeroDivisionError, 500, id="another-error"),
        pytest.param(_Raises(ZeroDivisionError()), ZeroDivisionError, None, id="another-error-without-an-answer"),
    ],
)
async def test_an_error_that_is_not_answered_by_us_is_not_hidden(make_api, sent_by, inner, error, status):
    sent, raised = await sent_by(make_api(inner))
    assert (whole_answer(sent).status if sent else None, type(raised)) == (status, error)


async def test_a_500_without_a_body_passes(make_api):
    inner = _sending({"type": "http.response.start", "status": 500}, {"type": "http.response.body"})
    assert (await make_api(inner).request()).status == 500


@pytest.mark.parametrize("credentials", [True, False], ids=["protected", "open-path"])
async def test_a_500_is_sent_at_once_whatever_the_app_does_after_it(make_api, sent_by, credentials):
    """X08, Z05: a background task, waiting for the client to go, a stream."""
    sent, seen = [], []

    async def inner(scope, receive, send):
        for message in (
            {"type": "http.response.start", "status": 500, "headers": []},
            {"type": "http.response.body", "body": b"first", "more_body": True},
            {"type": "http.response.body", "body": b"last"},
        ):
            await send(message)
            seen.append(len(sent))

    api = make_api(inner, public_paths=[] if credentials else ["/r"])
    await sent_by(api, messages=sent, headers=None if credentials else {})
    assert (seen, whole_answer(sent).body) == ([1, 2, 3], b"firstlast")


@pytest.mark.requirement("R-I-01")
@pytest.mark.parametrize("path", ["/r", "/open"], ids=["by-us", "by-the-app"])
async def test_head_is_answered_with_the_same_headers_and_no_body(make_api, path):
    api = make_api(_Raises(InvalidToken(Reason.TOKEN_REJECTED)), public_paths=["/open"])
    get, head = [await api.anonymous(method, path) for method in ("GET", "HEAD")]
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert int(get.one("content-length")) == len(get.body) > 0


@pytest.mark.requirement("R-6750-02")
async def test_the_body_is_never_read_by_us_and_a_rejected_one_by_nobody(make_api):
    """Without a `receive` of its own, `call` hands in one that fails the test."""

    async def receive():
        return {"type": "http.request", "body": b"access_token=x", "more_body": False}

    async def inner(scope, receive_inside, send):
        await App(chunks=((await receive_inside())["body"],))(scope, receive_inside, send)

    api = make_api(inner)
    assert (await api.request("POST", receive=receive)).body == b"access_token=x"
    for answer in (await api.anonymous("POST"), await api.request("POST", nonce=None)):
        assert answer.status == 401
