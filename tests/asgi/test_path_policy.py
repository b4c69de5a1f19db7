"""What requests need, by path, and which responses have a nonce although nobody is known."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dpop_asgi import NoncePolicy, Requirement
from tests.support.api import App, call, http_scope
from tests.support.challenges import checked_challenges
from tests.support.decisions import CountingStore

WRITE = Requirement("orders:write")
READ = Requirement("orders:read")
REQUIRE = {
    "/read": READ,
    "/admin/": WRITE,
    "/admin/read/": READ,
    "/admin/health": "public",
    "/admin/open/": "public",
    "/new/": "required",
    "/new/old/": "mixed",
}


@pytest.mark.parametrize("protect", ["everything", "routes"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/read", 200),
        ("/read/", 200),
        ("/admin/", 403),
        ("/admin/a", 403),
        ("/admin/a/read/b", 403),
        ("/admin/%61;b", 403),
        ("/admin/read/a", 200),
        ("/admin/read", 403),
        ("/admin", 200),
    ],
    ids=str,
)
async def test_the_longest_path_decides_what_is_needed(make_api, protect, path, status):
    require = {path: needed for path, needed in REQUIRE.items() if needed != "public"}
    api = make_api(protect=protect, require=require, mode="mixed")
    answer = await api.request(path=path)
    assert answer.status == status
    if status == 403:
        assert checked_challenges(answer.headers)[0].parameters["scope"] == "orders:write"


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/files/secret/a", (401, 403)),
        ("/files/secret//a", (401, 403)),
        ("/files//secret/a", (400, 400)),
        ("/files/%2Fsecret/a", (400, 400)),
        ("/files/x/../secret/a", (400, 400)),
        ("/files/x%2F..%2Fsecret%2Fa", (400, 400)),
        ("/files/.%2Fsecret/a", (400, 400)),
        ("/files/x%5C..%5Csecret%5Ca", (400, 400)),
        ("/files/../directory/secret/a", (400, 400)),
        ("/files/.open//a", (200, 200)),
    ],
    ids=str,
)
async def test_a_path_to_the_same_file_needs_the_same(make_api, tmp_path, path, statuses):
    """What serves files leaves out empty and dot segments, so they must not lead past `require`."""
    directory = tmp_path / "directory"
    for name in ("secret", ".open"):
        (directory / name).mkdir(parents=True)
        (directory / name / "a").write_text("x")
    app = Starlette(routes=[Mount("/files", StaticFiles(directory=directory))])
    api = make_api(app, protect="routes", require={"/files/secret/": WRITE})
    answers = await api.anonymous(path=path), await api.request(path=path)
    assert tuple(answer.status for answer in answers) == statuses


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/health", 200),
        ("/admin/open/a", 200),
        ("/admin/open/a%2Fb", 401),
        ("/admin/open/a;b", 401),
        ("/admin/a", 401),
        ("/read", 401),
        ("/else", 401),
    ],
    ids=str,
)
async def test_a_public_path_below_a_stricter_one_is_open_if_it_is_plain(make_api, path, status):
    assert (await make_api(require=REQUIRE, mode="mixed").anonymous(path=path)).status == status


async def test_what_only_looks_like_a_public_path_needs_what_is_needed_around_it(make_api):
    assert (await make_api(require=REQUIRE, mode="mixed").request(path="/admin/open/a;b")).status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [("/new/a", 401), ("/new/old/a", 200), ("/new/old/a;b", 401), ("/else", 200), ("/read", 200), ("/admin/a", 403)],
    ids=str,
)
async def test_a_path_may_accept_dpop_only(make_api, issuer, path, status):
    api = make_api(require=REQUIRE, mode="mixed")
    answer = await api.anonymous(path=path, also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert answer.status == status
    if status == 401:
        assert [one.scheme for one in checked_challenges(answer.headers)] == ["DPoP"]


async def test_where_routes_ask_the_paths_that_need_something_are_asked_first(make_api):
    api = make_api(protect="routes", require={"/uploads/": "required"})
    assert [(await api.anonymous(path=path)).status for path in ("/uploads/a", "/else")] == [401, 200]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"require": ["/a"]}, "require", id="no-mapping"),
        pytest.param({"require": {"a": READ}}, "require", id="no-path"),
        pytest.param({"require": {"/a": "bearer"}}, "require", id="no-word"),
        pytest.param({"require": {"/a": ["orders:read"]}}, "require", id="a-list"),
        pytest.param({"require": {"/a": "mixed"}}, "require", id="looser-than-the-mode"),
        pytest.param({"require": {"/a": READ}, "public_paths": ["/a"]}, "require", id="public-and-not"),
        pytest.param({"require": {"/a": "public"}, "protect": "routes"}, "require", id="public-where-routes-ask"),
        pytest.param({"nonce_paths": ["a"]}, "nonce_paths", id="no-nonce-path"),
        pytest.param({"max_stream": "forever"}, "max_stream", id="max-stream"),
        pytest.param({"allow_bearer": lambda _: True}, "allow_bearer", id="bearer-where-none-is-accepted"),
        pytest.param({"also_check": "x"}, "also_check", id="no-check"),
    ],
)
def test_options_that_contradict_are_rejected_when_they_are_configured(make_api, options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        make_api(**options)


CACHED = App(headers=[("cache-control", "public"), ("dpop-nonce", "of-the-app")])


@pytest.mark.requirement("R-8-04", "R-9449-NS")
@pytest.mark.parametrize("options", [{"public_paths": ["/r"]}, {"protect": "routes"}], ids=["public", "routes"])
async def test_chosen_responses_have_a_nonce_although_nobody_is_known(make_api, options):
    api = make_api(CACHED, nonce_paths=["/r"], **options)
    answer = await api.anonymous(also=[("origin", "https://app.example")])
    assert answer.all("dpop-nonce") == [await api.authenticator.challenge_nonce()]
    assert (answer.status, answer.all("cache-control")) == (200, ["no-store"])
    assert "DPoP-Nonce" in answer.one("access-control-expose-headers")


async def test_other_responses_are_left_alone(make_api):
    api = make_api(CACHED, nonce_paths=["/r"], public_paths=["/a"])
    assert (await api.anonymous(path="/a")).all("cache-control") == ["public"]
    assert (await api.request(path="/r")).all("dpop-nonce") == []


@pytest.mark.parametrize("options", [{"nonces": None}, {"nonces": NoncePolicy()}], ids=["off", "away"])
async def test_without_a_nonce_the_response_goes_out_as_it_is(make_api, clock, options):
    away = CountingStore(clock, down=True)
    api = make_api(App(headers=[("etag", "x")]), nonce_paths=["/r"], public_paths=["/r"], store=away, **options)
    assert (await call(api.app, http_scope())).headers == ((b"etag", b"x"),)
