"""The docs page that signs, and `dpop.js` on a page of another origin: in headless Chromium, over real sockets."""

import inspect
import json
import os
import time
from typing import Annotated
from urllib.parse import parse_qs

import pytest
from fastapi import Depends, FastAPI, Request, Security
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import RedirectResponse
from fastapi.security import OAuth2AuthorizationCodeBearer
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from dpop_asgi import (
    Authenticator,
    Caller,
    DPoPMiddleware,
    JWTVerifier,
    MemoryStore,
    ProofVerifier,
    TokenEndpointDPoP,
    dpop_from,
)
from dpop_asgi.fastapi import DPoP, docs_page
from dpop_asgi.testing import Client, Issuer, ManualClock
from examples.spa import serve
from tests.programs import CHROMIUM
from tests.set_up import CLIENTS
from tests.support.browser import Browser
from tests.support.processes import free_port
from tests.support.serving import Served

SWAGGER = CLIENTS / "node_modules" / "swagger-ui-dist"

Reader = Annotated[Caller, Security(DPoP(), scopes=["orders:read"])]
Writer = Annotated[Caller, Security(DPoP(), scopes=["orders:write"])]


@pytest.fixture(scope="module")
def browser():
    program = os.environ.get("CHROMIUM") or CHROMIUM.search()
    if not program or not SWAGGER.exists():
        pytest.skip("no Chromium, or no Swagger UI: run the tests by `python3 -m tests`, which installs both")
    with Browser(program) as browser:
        yield browser


class Shop:
    """An API with its docs page, whose clock can be moved. It is its own authorization server."""

    def __init__(self):
        self.url = f"http://localhost:{free_port()}"
        self.clock = ManualClock(time.time())
        self.issuer = Issuer(self.url, audience="shop", clock=self.clock)
        self.asked = []
        app = FastAPI(title="Shop", docs_url=None, dependencies=[Depends(self.oauth)])
        app.mount("/swagger", StaticFiles(directory=SWAGGER))
        app.get("/orders")(self.orders)
        app.post("/orders")(self.create)
        app.get("/vault")(self.vault)
        app.get("/authorize", include_in_schema=False)(self.authorize)
        app.post("/token", include_in_schema=False)(self.token)
        docs_page(app, swagger_js_url="/swagger/swagger-ui-bundle.js", swagger_css_url="/swagger/swagger-ui.css")
        store = MemoryStore(clock=self.clock)
        proofs = ProofVerifier(store=store, clock=self.clock)
        verifier = JWTVerifier(issuer=self.url, audience="shop", jwks=self.issuer.jwks, clock=self.clock)
        decision = Authenticator(verify_token=verifier, store=store, clock=self.clock)
        endpoint = TokenEndpointDPoP(app, verifier=proofs, paths=["/token"])
        self.app = DPoPMiddleware(endpoint, authenticator=decision, protect="routes")

    oauth = OAuth2AuthorizationCodeBearer("authorize", "token", scopes={"orders:read": "Read"}, auto_error=False)

    async def orders(self, caller: Reader) -> str:
        return f"orders of {caller.subject}"

    async def create(self, order: dict[str, int], _: Writer) -> dict[str, int]:
        return order

    async def vault(self, _: Annotated[Caller, Security(DPoP(acr_values="urn:loa:2", max_age=60))]) -> str:
        return "gold"

    async def authorize(self, redirect_uri: str, state: str, dpop_jkt: str):
        self.asked.append(dpop_jkt)
        return RedirectResponse(f"{redirect_uri}?code=once&state={state}")

    async def token(self, request: Request) -> dict[str, str]:
        """Asks for a nonce (RFC 9449 §8), and binds the token to the key of the proof."""
        assert request.headers.get("authorization", "Basic ").startswith("Basic ")
        assert parse_qs((await request.body()).decode())["code"] == ["once"]
        bound = {"cnf": {"jkt": dpop_from(request)}}
        return {"access_token": self.issuer.access_token(claims=bound), "token_type": "DPoP"}


@pytest.fixture(scope="module")
def shop():
    shop = Shop()
    with Served(shop.app, port=int(shop.url.rpartition(":")[2]), host="localhost"):
        yield shop


@pytest.fixture
def page(browser, shop):
    """The docs page, as a new visitor sees it."""
    with browser.open(f"{shop.url}/docs") as page:
        page.until(
            "document.querySelector('.opblock') && document.querySelector('#dpop-thumbprint').innerText.length == 43"
        )
        yield page
        assert page.complaints == []


def token_for(shop, thumbprint, **claims):
    return shop.issuer.access_token(claims={"cnf": {"jkt": thumbprint}, **claims})


def try_out(page, operation, status):
    """What Swagger UI shows, and the steps that the panel shows."""
    block = f"#operations-default-{operation}"
    if not page.run(f"!!document.querySelector('{block} .execute')"):
        page.click(f"{block} .opblock-summary-control")
        page.click(f"{block} .try-out__btn")
        page.until(f"document.querySelector('{block} .execute')")
    page.run("document.querySelector('#dpop-log').replaceChildren()")
    page.run(f"document.querySelector('{block} .btn-clear')?.click()")
    page.click(f"{block} .execute")
    shown = f"{block} .live-responses-table .response .response-col_status"
    page.until(f"document.querySelector('{shown}')?.innerText.includes('{status}')")
    page.until("document.querySelector('#dpop-log li') && !document.querySelector('.loading-container')")
    return page.run("[...document.querySelectorAll('#dpop-log li')].map(step => step.innerText)")


def until_padlocks_are(page, state):
    page.until(f"document.querySelectorAll('.opblock .authorization__btn > .{state}').length === 3")


ORDERS, VAULT, CREATE = "orders_orders_get", "vault_vault_get", "create_orders_post"


def test_what_is_tried_out_is_signed_through_a_challenge_and_through_rotation(page, shop):
    until_padlocks_are(page, "unlocked")
    page.enter("#dpop-token", token_for(shop, page.text("#dpop-thumbprint")))
    assert page.text("#dpop-token-status").startswith("Issued for this key: user alice, scope orders:read, valid for ")
    until_padlocks_are(page, "locked")
    challenged, accepted = try_out(page, ORDERS, 200)
    assert challenged.startswith("Signed and sent. Response 401: this is normal. The server wants its current nonce")
    assert accepted == "Second attempt, signed with the nonce. Response 200: accepted."
    assert try_out(page, ORDERS, 200) == ["Signed and sent. Response 200: accepted."]
    shop.clock.advance(70)
    assert try_out(page, ORDERS, 200) == ["Signed and sent. Response 200: accepted."]
    shop.clock.advance(200)
    assert len(try_out(page, ORDERS, 200)) == 2


def test_what_a_request_or_its_token_lacks_is_named(page, shop):
    (step,) = try_out(page, ORDERS, 401)
    assert step.startswith("Signed and sent. Response 401: an access token is missing. Paste one in step 2")
    page.enter("#dpop-token", token_for(shop, page.text("#dpop-thumbprint")))
    assert try_out(page, CREATE, 403)[-1].endswith("lacks a permission. Needed scope: orders:write.")
    stronger = "sign in again, in the way that is called urn:loa:2, and not longer than 60 seconds ago"
    assert stronger in try_out(page, VAULT, 401)[-1]
    assert page.text("#operations-default-orders_orders_get .dpop-scopes") == "Needs scope orders:read"


def test_a_token_of_another_key_is_noticed_before_it_is_sent_and_its_key_can_be_used(page, shop):
    other = Client()
    page.enter("#dpop-token", token_for(shop, other.thumbprint))
    assert page.text("#dpop-token-status").startswith(f"This token was issued for another key ({other.thumbprint})")
    until_padlocks_are(page, "unlocked")
    assert "the access token isn't accepted" in try_out(page, ORDERS, 401)[-1]
    page.run("document.querySelector('#dpop details').open = true")
    page.enter("#dpop-jwk", json.dumps(other.key.private_jwk))
    page.click("#dpop-import")
    page.until(f"document.querySelector('#dpop-thumbprint').innerText === '{other.thumbprint}'")
    assert page.text("#dpop-token-status").startswith("Issued for this key")
    assert try_out(page, ORDERS, 200)[-1].endswith("accepted.")


@pytest.mark.parametrize("pasted", ["", "null", "false"])
def test_what_is_no_key_leaves_the_key_as_it_is(page, pasted):
    before = page.text("#dpop-thumbprint")
    page.run("document.querySelector('#dpop details').open = true")
    page.enter("#dpop-jwk", pasted)
    page.click("#dpop-import")
    page.until("document.querySelector('#dpop-key-status').innerText.startsWith('This is not a private P-256 key')")
    assert page.text("#dpop-thumbprint") == before


def test_signing_in_gets_a_token_for_the_key(page, shop):
    page.click(".auth-wrapper .authorize")
    page.until("document.querySelector('.dialog-ux')")
    assert "Enter the access token in the panel" in page.text(".dialog-ux")
    page.enter(".dialog-ux #client_id_authorizationCode", "docs")
    page.run("document.querySelector('.dialog-ux .auth-btn-wrapper .authorize').click()")
    page.until("document.querySelector('#dpop-token').value")
    assert shop.asked[-1] == page.text("#dpop-thumbprint")
    assert page.text("#dpop-token-status").startswith("Issued for this key")
    page.click(".dialog-ux .close-modal")
    assert try_out(page, ORDERS, 200)[-1].endswith("accepted.")


def test_the_key_is_the_same_after_a_reload_and_cannot_be_read(page, shop):
    before = page.text("#dpop-thumbprint")
    page.goto(f"{shop.url}/docs?again")
    page.until(f"document.querySelector('#dpop-thumbprint').innerText === '{before}'")
    assert (
        page.run("""new Promise(resolve => {
        indexedDB.open("dpop-keys").onsuccess = ({target}) =>
            target.result.transaction("keys").objectStore("keys").get("docs").onsuccess = ({target}) =>
                crypto.subtle.exportKey("jwk", target.result.privateKey)
                    .then(() => "read", problem => problem.name).then(resolve);
    })""")
        == "InvalidAccessError"
    )


# dpop.js on its own


@pytest.fixture(scope="module")
def api_clock():
    return ManualClock(time.time())


@pytest.fixture(scope="module")
def single_page_app(api_clock):
    site, api = f"http://localhost:{free_port()}", f"http://localhost:{free_port()}"
    with (
        Served(serve.make_api(site, api_clock), port=int(api.rpartition(":")[2]), host="localhost"),
        Served(serve.make_site(api), port=int(site.rpartition(":")[2]), host="localhost"),
    ):
        yield site


@pytest.fixture
def app_page(browser, single_page_app):
    with browser.open(single_page_app) as page:
        page.until("document.querySelector('#thumbprint').innerText.length === 43")
        yield page
        assert page.complaints == []


def steps_of(page, button, last):
    page.click(f"#{button}")
    page.until(f"document.querySelector('#log li:last-child')?.innerText.startsWith('{last}')")
    return page.run("[...document.querySelectorAll('#log li')].map(step => step.innerText)")


def test_a_page_of_another_origin_reads_challenges_and_nonces(app_page, api_clock):
    """D1: of a 401 and of a 200."""
    without, _ = steps_of(app_page, "call", "The API has rejected the request: there is no token yet. Sign in first.")
    assert "Response 401" in without
    assert 'Challenge: DPoP algs="' in without
    assert "as before" not in without
    app_page.click("#sign-in")
    app_page.until("document.querySelector('#token').innerText.includes('bound')")
    accepted, said = steps_of(app_page, "call", "Accepted")
    assert accepted == "Response 200. Challenge: none. Nonce: as before."
    assert said == 'Accepted. The API says: {"orders of":"alice"}'
    api_clock.advance(70)
    rotated, _ = steps_of(app_page, "call", "Accepted")
    assert rotated.startswith("Response 200. Challenge: none. Nonce: ")
    assert "as before" not in rotated
    *_, stolen, _ = steps_of(app_page, "steal", "Rejected: the token is useless")
    assert "Response 401" in stolen
    assert 'error="invalid_token"' in stolen


TRIED = """
(async () => {{
  const {{ openSigner }} = await import("./dpop.js");
  const sent = [];
  window.fetch = async (input, init) => {{
    const request = new Request(input, init), body = await request.text(), proof = request.headers.get("DPoP");
    const claims = proof && JSON.parse(atob(proof.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    sent.push({{ body, claims, redirect: request.redirect }});
    return {answer};
  }};
  const signer = await openSigner({{ origins: ["https://api.example"] }});
  {call};
  return sent;
}})()
"""
CHALLENGE = """new Response("", { status: 401, headers: {
    "DPoP-Nonce": `n${sent.length}`, "WWW-Authenticate": 'Bearer, DPoP error="use_dpop_nonce"' } })"""


def tried(page, call, answer):
    return page.run(TRIED.format(call=call, answer=answer))


def test_the_signer_tries_again_once_with_the_same_body(app_page):
    first, second = tried(
        app_page,
        'await signer.fetch("https://api.example/a%20b?q=1#f", { method: "POST", body: "text",'
        ' headers: { Authorization: "DPoP token" } })',
        CHALLENGE,
    )
    assert (first["body"], second["body"]) == ("text", "text")
    assert "nonce" not in first["claims"]
    assert second["claims"]["nonce"] == "n1"
    assert first["claims"]["htm"] == "POST"
    assert first["claims"]["htu"] == "https://api.example/a%20b"
    assert first["claims"]["ath"] == second["claims"]["ath"] == "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A"
    assert first["claims"]["jti"] != second["claims"]["jti"]


def test_the_signer_keeps_a_nonce_per_origin_and_signs_for_known_origins_only(app_page):
    answer = 'new Response("", { headers: { "DPoP-Nonce": "of-a-200" } })'
    calls = ("https://api.example/", "https://api.example/", "https://elsewhere.example/", "https://api.example:444/")
    sent = tried(app_page, "; ".join(f'await signer.fetch("{url}")' for url in calls), answer)
    assert [part["claims"] and part["claims"].get("nonce") for part in sent] == [None, "of-a-200", None, None]
    assert [part["claims"] is None for part in sent] == [False, False, True, True]
    assert all("ath" not in part["claims"] for part in sent if part["claims"]), "there is no token"


REDIRECTED = f"Object.defineProperty({CHALLENGE}, 'redirected', {{ value: true }})"


def test_what_a_redirect_leads_to_gets_no_second_proof_and_sets_no_nonce(app_page):
    urls = ["https://api.example/a", "https://api.example/b"]
    sent = tried(app_page, "; ".join(f'await signer.fetch("{url}")' for url in urls), REDIRECTED)
    assert [(part["claims"]["htu"], part["claims"].get("nonce")) for part in sent] == [(url, None) for url in urls]


def test_a_signed_request_follows_redirects_only_if_the_caller_says_so(app_page):
    calls = {
        '"https://api.example/"': "error",
        'new Request("https://api.example/")': "error",
        'new Request("https://api.example/", { redirect: "manual" })': "manual",
        '"https://api.example/", { redirect: "follow" }': "follow",
        '"https://elsewhere.example/"': "follow",
    }
    sent = tried(app_page, "; ".join(f"await signer.fetch({call})" for call in calls), 'new Response("")')
    assert [part["redirect"] for part in sent] == list(calls.values())


# Options


@pytest.mark.parametrize(
    ("option", "options"),
    [
        pytest.param("path", {"path": "docs"}, id="path without a slash"),
        pytest.param("path", {"path": "/docs/"}, id="path with a slash at its end"),
        pytest.param("path", {"path": "/taken"}, id="path that is taken"),
        pytest.param("origins", {"origins": ["id.example.com"]}, id="origin without a scheme"),
        pytest.param("origins", {"origins": ["https://id.example.com/"]}, id="origin with a path"),
        pytest.param("origins", {"origins": ["https://*; script-src *"]}, id="origin with a directive"),
    ],
)
def test_invalid_options_are_named(option, options):
    with pytest.raises(ValueError, match=f"^{option}: "):
        docs_page(FastAPI(docs_url="/taken"), **options)


def test_an_app_without_a_description_has_no_page():
    with pytest.raises(ValueError, match=r"^app: "):
        docs_page(FastAPI(openapi_url=None))


def test_the_page_is_found_behind_a_prefix_and_allows_only_what_it_needs():
    app = FastAPI(docs_url=None, title="<Shop>")
    docs_page(app, path="/internal/docs", origins=["https://id.example.com"])
    http = TestClient(app)
    page = http.get("/internal/docs")
    assert "<title>&lt;Shop&gt;</title>" in page.text
    assert 'src="docs/docs.js"' in page.text
    assert 'data-openapi-url="../openapi.json"' in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self' https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js;" in policy
    assert "connect-src 'self' https://id.example.com;" in policy
    assert "unsafe" not in policy
    assert http.get("/internal/docs/dpop.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert http.get("/internal/docs/page.html").status_code == 404
    assert app.openapi()["paths"] == {}


def test_what_the_page_loads_is_what_fastapi_loads():
    defaults = inspect.signature(get_swagger_ui_html).parameters
    for name in ("swagger_js_url", "swagger_css_url"):
        assert inspect.signature(docs_page).parameters[name].default == defaults[name].default
