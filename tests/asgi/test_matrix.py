"""Which credentials are accepted, and how others are rejected: one table, whoever asks and over whichever protocol."""

import pytest
from starlette.requests import HTTPConnection

from dpop_asgi import InsufficientScope
from dpop_asgi.starlette import authenticate
from tests.support.api import App, call, connect, denial, handshake, http_scope
from tests.support.challenges import checked_challenges

TOKENS = {
    "bound": {},
    "unbound": {"without": ["cnf"]},
    "bound-by-mtls": {"claims": {"cnf": {"x5t#S256": "A" * 43}}},
    "malformed-binding": {"claims": {"cnf": {"jkt": 5}}},
}
OK, NONE, PROOF, TOKEN = "accepted", "no code", "invalid_dpop_proof", "invalid_token"

# Scheme, token, proof: the outcome where DPoP is required, and in mixed mode.
TABLE = [
    *(
        (scheme, token, proof, NONE, NONE)
        for scheme in ("none", "Basic")
        for token in TOKENS
        for proof in (True, False)
    ),
    *(("DPoP", token, False, PROOF, PROOF) for token in TOKENS),
    *(("DPoP", token, True, TOKEN, TOKEN) for token in TOKENS if token != "bound"),
    ("DPoP", "bound", True, OK, OK),
    *(("Bearer", token, proof, TOKEN, TOKEN) for token in TOKENS if token != "unbound" for proof in (True, False)),
    *(("Bearer", "unbound", proof, TOKEN, OK) for proof in (True, False)),
]
ROWS = [pytest.param(*row, id="-".join((*row[:2], "with" if row[2] else "without"))) for row in TABLE]


async def _asks(scope, receive, send):
    """Asks, as a route does."""
    await authenticate(HTTPConnection(scope))
    if scope["type"] == "http":
        await App()(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.accept"})


@pytest.mark.requirement("R-7.2-02", "R-7.2-03", "R-7.2-04", "R-7.2-06", "R-7.2-07", "R-7.2-08", "R-8705-01")
@pytest.mark.parametrize("over", ["http", "websocket"])
@pytest.mark.parametrize("protect", ["everything", "routes"])
@pytest.mark.parametrize("mode", ["required", "mixed"])
@pytest.mark.parametrize(("scheme", "token", "proof", "required", "mixed"), ROWS)
async def test_credentials(make_api, over, protect, mode, scheme, token, proof, required, mixed):
    api = make_api(_asks, protect=protect, mode=mode)
    sent = await api.fields(path="/r", token=api.issuer.access_token(api.client, **TOKENS[token]))
    sent["Authorization"] = f"{scheme} {sent['Authorization'].partition(' ')[2]}"
    left_out = {*(["Authorization"] if scheme == "none" else []), *([] if proof else ["DPoP"])}
    fields = [(name, value) for name, value in sent.items() if name not in left_out]
    expected = required if mode == "required" else mixed
    if over == "http":
        answer = await call(api.app, http_scope(headers=fields))
        accepted = answer.status == 200
    else:
        messages = await connect(api.app, handshake(fields, path="/r"))
        accepted = messages[0]["type"] == "websocket.accept"
        answer = None if accepted else denial(messages)
    assert accepted == (expected is OK)
    if not accepted:
        told = [(one.scheme, one.parameters.get("error", NONE)) for one in checked_challenges(answer.headers)]
        assert (answer.status, told) == (401, _challenges(mode, scheme, expected))


def _challenges(mode, scheme, code):
    """The scheme that was used comes first, and has the code."""
    if mode == "required" or code is PROOF or scheme == "DPoP":
        return [("DPoP", code)]
    if scheme == "Bearer":
        return [("Bearer", code), ("DPoP", NONE)]
    return [("DPoP", NONE), ("Bearer", NONE)]


@pytest.mark.requirement("R-7.1-10", "R-7.1-11")
async def test_the_realm_is_configured_and_stands_once(make_api):
    answer = await make_api(mode="mixed", realm="orders").anonymous()
    assert [line.count("realm=") for line in answer.all("www-authenticate")] == [0, 1]
    assert answer.all("www-authenticate")[1] == 'Bearer realm="orders"'
    with pytest.raises(ValueError, match=r"^realm: "):
        make_api(realm='a"b')


@pytest.mark.requirement("R-7.2-04", "R-6750-07")
async def test_a_rejection_that_the_app_raises_for_a_bearer_caller_is_a_bearer_challenge(make_api, issuer):
    async def refuse(scope, receive, send):
        raise InsufficientScope("orders:write")

    api = make_api(refuse, mode="mixed")
    answer = await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    told = [(one.scheme, one.parameters.get("error")) for one in checked_challenges(answer.headers)]
    assert (answer.status, told) == (403, [("Bearer", "insufficient_scope"), ("DPoP", None)])
