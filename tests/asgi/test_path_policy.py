"""What requests need, by path, and which responses have a nonce without a known caller."""

import itertools
import sys

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Match, Mount, Route
from starlette.staticfiles import StaticFiles

from dpop_asgi import NoncePolicy, Requirement
from tests.support.api import App, call, http_scope, no_body
from tests.support.challenges import checked_challenges
from tests.support.decisions import CountingStore

WRITE = Requirement("orders:write")
READ = Requirement("orders:read")
REQUIRE = {
    "/read": READ,
    "/write": WRITE,
    "/admin/": WRITE,
    "/admin/old": READ,
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
        *((path, 200) for path in ("/read", "/read/", "/admin/read/a", "/write/a")),
        *((path, 403) for path in ("/admin", "/admin/", "/admin/a", "/admin/a/read/b", "/admin/%61;b", "/admin/read")),
        *((path, 403) for path in ("/write", "/write/", "/admin/old/")),
    ],
    ids=str,
)
async def test_the_longest_path_decides_what_is_needed(make_api, protect, path, status):
    require = {path: needed for path, needed in REQUIRE.items() if needed != "public"}
    api = make_api(protect=protect, require=require, mode="mixed")
    answer = await api.request(path=path)
    assert answer.status == status
    if status == 403:
        assert "orders:write" in checked_challenges(answer.headers)[0].parameters["scope"].split()


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        *((f"/files/{end}", (401, 403)) for end in ("secret/a", "secret//a")),
        *((f"/files/{end}", (400, 400)) for end in ("/secret/a", "%2Fsecret/a", "x/../secret/a", ".%2Fsecret/a")),
        *((f"/files/{end}", (400, 400)) for end in ("x%2F..%2Fsecret%2Fa", "x%5C..%5Csecret%5Ca")),
        *((f"/files/{end}", (400, 400)) for end in ("../directory/secret/a", "else#/secret/a")),
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


ROOT = {"root_path": "/api"}
MOUNT = {"root_path": "/api/v2", "app_root_path": "/api"}


@pytest.mark.parametrize("protect", ["everything", "routes"])
@pytest.mark.parametrize(
    ("path", "scope"),
    [
        pytest.param("/admin/a", ROOT, id="stripped"),
        pytest.param("/api/admin/a", ROOT, id="not-stripped"),
        pytest.param("/api//admin/a", {"root_path": "/api/"}, id="with-a-slash-at-its-end"),
        pytest.param("/api/v2/old/a", MOUNT, id="mount-with-its-prefix"),
        pytest.param("/api/v2/admin/a", MOUNT, id="mount-without"),
    ],
)
async def test_a_path_with_the_root_path_needs_what_the_route_needs_without(make_api, protect, path, scope):
    """Routers leave it out: the same route is served with it and without."""
    api = make_api(protect=protect, require={"/admin/": WRITE, "/v2/old/": WRITE})
    answers = await api.anonymous(path=path, **scope), await api.request(path=path, scope=scope)
    assert [answer.status for answer in answers] in ([401, 403], [400, 400])
    assert api.inner.scopes == []


async def test_nobody_can_meet_what_contradicts_itself_with_and_without_the_root_path(make_api):
    require = {"/api/a": Requirement(acr_values="1"), "/a": Requirement(acr_values="2")}
    api = make_api(require=require)
    assert (await api.request(path="/api/a", scope=ROOT)).status == 400


SECRETS = ("/admin", "/admin/x")


async def _secret(_=None):
    return PlainTextResponse("secret")


def _starlette(**_):
    return Starlette(routes=[Route(path, _secret) for path in SECRETS])


def _mounting(**_):
    inside = Starlette(routes=[Route("/", _secret), Route("/x", _secret)])
    return Starlette(routes=[Mount("/admin", inside)])


def _fastapi(**options):
    app, router = FastAPI(**options), APIRouter(prefix="/admin")
    router.get("")(_secret)
    router.get("/x/")(_secret)
    app.include_router(router)
    return app


def _litestar(**_):
    import litestar  # noqa: PLC0415 - it takes a second

    @litestar.get(list(SECRETS), sync_to_thread=False)
    def secret() -> str:
        return "secret"

    return litestar.Litestar(route_handlers=[secret], logging_config=None)  # that of the tests stays


def _quart(**_):
    import quart  # noqa: PLC0415 - it takes a second

    app = quart.Quart(__name__)
    for path in SECRETS:
        app.get(path, endpoint=path[1:])(lambda: "secret")
    return app


def _in(make_app, *, at="/", **options):
    """The same app in a mount of Starlette."""
    return lambda **_: Starlette(routes=[Mount(at, make_app(**options))])


def _of_a_host(**_):
    return Starlette(routes=[Host("rs.example", _fastapi(root_path="/api"))])


class _Wrapper:
    __slots__ = ("app",)

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class _OtherWrapper(_Wrapper):
    __slots__ = ("more",)


def _wrapped(**_):
    return _OtherWrapper(_fastapi(root_path="/api"))


def _wsgi(**_):
    from starlette.middleware.wsgi import WSGIMiddleware  # noqa: PLC0415 - it warns

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"secret" if environ["PATH_INFO"] in SECRETS else b""]

    return WSGIMiddleware(app)


def _with_a_catch_all(**_):
    inside = Starlette(routes=[Route("/x", PlainTextResponse("open")), Route("/{a}/{b:path}", _secret)])
    return Starlette(routes=[Mount("/static", inside)])


def _with_an_included_catch_all(**_):
    app, router = FastAPI(), APIRouter()
    router.mount("/x", Starlette(routes=[Route("/{a}/{b:path}", _secret)]))
    app.include_router(router, prefix="/static")
    return app


def _in_itself(**_):
    app = _with_a_catch_all()
    app.mount("/again", app)
    return app


def _matching_the_whole_path(**_):
    async def app(scope, _, send):
        await PlainTextResponse("secret" if scope["path"] in SECRETS else "")(scope, None, send)

    return app


APPS = [
    pytest.param(_starlette, {}, "", id="starlette"),
    pytest.param(_mounting, {}, "", id="a-mount"),
    pytest.param(_fastapi, {}, "", id="fastapi"),
    pytest.param(_fastapi, {"redirect_slashes": False}, "", id="fastapi-without-redirects"),
    pytest.param(_fastapi, {}, "/api", id="root-path-of-the-server"),
    pytest.param(_fastapi, {"root_path": "/api"}, "", id="root-path-of-the-app"),
    pytest.param(_fastapi, {"root_path": "/api/"}, "", id="root-path-of-the-app-with-a-slash"),
    pytest.param(_litestar, {}, "", id="litestar"),
    pytest.param(_litestar, {}, "/api", id="litestar-with-a-root-path"),
    pytest.param(_quart, {}, "", id="quart"),
    pytest.param(_quart, {}, "/api", id="quart-with-a-root-path"),
    pytest.param(_in(_litestar), {}, "/api", id="litestar-in-a-mount-with-a-root-path"),
    pytest.param(_in(_fastapi, root_path="/api"), {}, "", id="root-path-of-an-app-in-a-mount"),
    pytest.param(_of_a_host, {}, "", id="root-path-of-an-app-of-a-host"),
    pytest.param(_wrapped, {}, "", id="root-path-of-an-app-behind-slots"),
]
ODD = (
    "api",
    "/x/api",
    "http://rs.example",
    "/",
    "//",
    "/.",
    "./",
    "/../x",
    "%2F",
    "%2f.",
    "%5C",
    "%0A",
    "%0D%0A",
    "%00",
    ";p",
    "%3B",
    "%20",
    "%3F",
    "%23",
)
ODD += ("%2561", "%C0%AF", "%EF%BC%8F", "%E2%80%8B", "A", "/api", "/api/")


@pytest.mark.parametrize(
    "required", [{"/admin": WRITE, "/admin/x": WRITE}, {"/admin/": WRITE}], ids=["exact", "prefix"]
)
@pytest.mark.parametrize(("make_app", "options", "root_path"), APPS)
@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
async def test_no_spelling_of_a_path_reaches_its_route_without_what_it_needs(
    make_api, make_app, options, root_path, required
):
    """The routers themselves are the judges."""
    api = make_api(make_app(**options), protect="routes", require=required)
    reached = []
    for base in ("/admin/", "/admin/x", "/api/admin"):
        for odd in ["", *ODD]:
            for at in range(len(base) + 1):
                path = base[:at] + odd + base[at:]
                # A server that puts the root path in front of what was sent, and one that doesn't.
                for sent in {root_path + path, path, path[1:]}:
                    answer = await api.anonymous(path=sent, root_path=root_path, receive=no_body())
                    if answer.body == b"secret":
                        reached.append(sent)
    assert reached == []


ROUTERS = [_starlette, _mounting, _fastapi, _litestar, _quart, _wsgi]
ROUTERS += [_with_a_catch_all, _with_an_included_catch_all, _in_itself, _matching_the_whole_path]


@pytest.mark.parametrize(
    "make_app",
    [
        *(pytest.param(app, id=app.__name__[1:]) for app in ROUTERS),
        *(pytest.param(_in(app), id=f"mount-of{app.__name__}") for app in ROUTERS[3:]),
        pytest.param(_in(_litestar, at="/static"), id="public-mount-of_litestar"),
    ],
)
@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")
async def test_a_client_that_chooses_the_root_path_reaches_only_what_is_public(make_api, make_app):
    """Z01: daphne takes `root_path` from a header, and routers leave it out of the path, each in its own way."""
    api = make_api(make_app(), public_paths=["/static/", "/x/admin"])
    reached = []
    for parts in itertools.product(["static", "admin", "x"], ["/", ""], ["static", "admin"], ["", "/x"]):
        path = "/" + "".join(parts)
        begins = {0, 1, *(place for place, letter in enumerate(path) if letter == "/")}
        cut = {path[begin:end] for begin in begins for end in range(begin + 1, len(path))}
        for root_path in ["/other", "/static///", *cut]:
            answer = await api.anonymous(path=path, root_path=root_path, receive=no_body())
            if answer.body == b"secret":
                reached.append((path, root_path))
    assert reached == []


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/admin/x", 403), ("/v2/admin", 403), ("/v2/open", 200), ("/v2/health", 200)], ids=str
)
async def test_in_a_mounted_app_a_path_is_named_with_or_without_the_prefix(make_api, path, status):
    required = {"/admin/": WRITE, "/v2/health": READ}
    api = make_api(protect="routes", require=required)
    api.app = Starlette(routes=[Mount("/v2", api.app)])
    assert (await api.request(path=path)).status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [("/static/admin", 401), ("/static/static/x", 200), ("/static/sub/x", 200), ("/sub/x", 401), ("/open", 200)],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
async def test_a_path_is_public_with_and_without_the_root_path_of_the_app(make_api, path, status):
    app = _fastapi(root_path="/static")
    app.get("/static/x")(_secret)
    app.get("/open")(_secret)
    app.mount("/sub", Starlette(routes=[Route("/{path:path}", _secret)]))
    api = make_api(app, public_paths=["/static/static/x", "/static/", "/static/sub/x", "/sub/x", "/open"])
    assert (await api.anonymous(path=path)).status == status


def _with_objects(app):
    """What is known although it isn't a plain route: FastAPI's endpoints, a router that is included, odd ones."""

    class Endpoint:
        async def __call__(self):
            return "ok"

    class Odd(BaseRoute):
        path = None

        def matches(self, _):
            return Match.NONE, {}

    router = APIRouter()
    router.get("/{path:path}")(Endpoint())
    router.mount("/metrics", App())
    app.include_router(router, prefix="/v1")
    return app, Odd()


@pytest.mark.parametrize("odd", [False, True])
async def test_what_is_unknown_in_an_included_router_concerns_its_prefix_only(make_api, odd):
    app, route = _with_objects(FastAPI(root_path=None))
    app.get("/health")(_secret)
    app.router.routes += [route] * odd
    api = make_api(app, public_paths=["/health", "/v1/metrics/", "/v1/x"])
    statuses = [
        (await api.anonymous(path=f"/api{path}", **ROOT)).status for path in ("/health", "/v1/x", "/v1/metrics/")
    ]
    assert statuses == ([401, 401, 401] if odd else [200, 200, 401])


@pytest.mark.parametrize("root_path", ["/other", "/static", "/static/x"])
async def test_in_a_mount_nothing_is_public_that_the_mounted_app_reads_in_another_way(make_api, root_path):
    app = Starlette(routes=[Route("/x", PlainTextResponse("open")), Route("/{a}/{b}", _secret)])
    api = make_api(app, public_paths=["/static/x"])
    api.app = Starlette(routes=[Mount("/static", api.app)])
    assert (await api.anonymous(path="/static/x")).body == b"open"
    assert (await api.anonymous(path="/static/x", root_path=root_path)).status in {401, 404}


async def test_under_daphne_a_root_path_makes_nothing_public_and_meets_no_requirement(make_api, monkeypatch):
    """Clients choose it there. Middleware and routers that aren't known might read the path in any way."""
    monkeypatch.setitem(sys.modules, "daphne.http_protocol", sys)
    for app in (_starlette(), App()):
        public, asked = make_api(app, public_paths=["/admin", "/x/admin"]), make_api(app, require={"/else": READ})
        for root_path, statuses in (("", (200, 200)), ("/x", (401, 400))):
            path = root_path + "/admin"
            anonymous = await public.anonymous(path=path, root_path=root_path)
            answer = await asked.request(path=path, scope={"root_path": root_path})
            assert (anonymous.status, answer.status) == statuses


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [("/api//files/secret/a", (401, 403)), ("/api//files//secret/a", (400, 400)), ("/api//files/else", (404, 404))],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
async def test_a_path_is_settled_without_its_root_path_too(make_api, tmp_path, sent, statuses):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a").write_text("x")
    app = FastAPI(root_path="/api/")
    app.mount("/files", StaticFiles(directory=tmp_path))
    api = make_api(app, protect="routes", require={"/files/secret/": WRITE})
    answers = await api.anonymous(path=sent), await api.request(path=sent)
    assert tuple(answer.status for answer in answers) == statuses


async def test_an_unknown_router_in_a_mount_changes_only_what_is_public_there(make_api):
    async def metrics(scope, _, send):
        await PlainTextResponse("metrics")(scope, None, send)

    app = Starlette(routes=[Mount("/metrics", metrics), Route("/health", _secret)])
    for public, statuses in ((["/health", "/metrics/"], (200, 401)), (["/metrics/", "/api/metrics/"], (401, 200))):
        api = make_api(app, public_paths=public)
        answers = [await api.anonymous(path=path, **ROOT) for path in ("/api/health", "/api/metrics/")]
        assert tuple(answer.status for answer in answers) == statuses


@pytest.mark.parametrize("path", ["/docs/api", "/docs/api-keys", "/docs/api/1"])
async def test_a_root_path_elsewhere_in_the_path_is_a_part_of_it_for_starlettes_router_only(make_api, path):
    """As behind a proxy that strips it: `FastAPI(root_path=…)`, or a server that doesn't put it in front."""
    for app, statuses in ((Starlette(routes=[Route("/docs/{path:path}", _secret)]), (200, 200)), (App(), (401, 400))):
        public, asked = make_api(app, public_paths=["/docs/"]), make_api(app, require={"/else": READ})
        answers = await public.anonymous(path=path, **ROOT), await asked.request(path=path, scope=ROOT)
        assert tuple(answer.status for answer in answers) == statuses


@pytest.mark.parametrize(
    ("path", "root_path", "status"),
    [
        *((path, "/api", 200) for path in ("/api/health", "/api/docs/a")),
        *((path, "/api", 401) for path in ("/api/healthx", "/api%2Fhealth", "/apihealth", "/api/api/health")),
        ("/api/health", "", 401),
    ],
    ids=str,
)
async def test_a_public_path_is_named_without_the_servers_root_path(make_api, path, root_path, status):
    """N01: uvicorn puts `--root-path` in front of the path."""
    app = Starlette(routes=[Route("/health", _secret), Route("/docs/a", _secret), Route("/api/health", _secret)])
    api = make_api(app, public_paths=["/health", "/docs/"])
    assert (await api.anonymous(path=path, root_path=root_path)).status == status
    # Of other routers it is not known what they match.
    assert (await make_api(public_paths=["/health", "/docs/"]).anonymous(path=path, root_path=root_path)).status == 401
    both = make_api(public_paths=["/health", "/docs/", "/api/health", "/api/docs/"])
    assert (await both.anonymous(path=path, root_path=root_path)).status == (200 if path == "/api/health" else status)


async def test_where_routes_ask_a_path_that_is_mixed_is_asked_however_it_is_spelled(make_api):
    api = make_api(protect="routes", mode="mixed", require={"/new/": "mixed", "/one": "mixed"})
    paths = ["/new/a", "/new/a;b", "/new/a%2Fb", "/new", "/one", "/one/", "/else"]
    assert [(await api.anonymous(path=path)).status for path in paths] == [401] * 6 + [200]


@pytest.mark.parametrize(
    ("path", "anonymous", "bearer"),
    [
        *((path, 200, 200) for path in ("/admin/health", "/admin/open/a")),
        # What only looks like a public path needs what is needed around it.
        *((path, 401, 403) for path in ("/admin/open/a%2Fb", "/admin/open/a;b", "/admin/a")),
        *((path, 401, 200) for path in ("/read", "/else", "/new/old/a")),
        *((path, 401, 401) for path in ("/new/a", "/new/old/a;b")),
    ],
    ids=str,
)
async def test_a_path_may_be_public_or_accept_dpop_only_if_it_is_plain(make_api, issuer, path, anonymous, bearer):
    api = make_api(require=REQUIRE, mode="mixed")
    assert (await api.anonymous(path=path)).status == anonymous
    answer = await api.anonymous(path=path, also=[("authorization", f"Bearer {issuer.access_token()}")])
    assert answer.status == bearer
    if bearer == 401:
        assert [one.scheme for one in checked_challenges(answer.headers)] == ["DPoP"]


@pytest.mark.parametrize(
    ("path", "root_path", "status"),
    [
        ("/api/legacy/a", "/api", 200),
        ("/api/a", "/api", 401),
        # A root path that a client has chosen.
        ("/api/legacy/a", "/api/legacy", 401),
    ],
    ids=str,
)
async def test_a_path_accepts_bearer_only_if_both_of_its_names_do(make_api, issuer, path, root_path, status):
    api = make_api(mode="mixed", require={"/api/": "required", "/api/legacy/": "mixed", "/legacy/": "mixed"})
    bearer = [("authorization", f"Bearer {issuer.access_token()}")]
    assert (await api.anonymous(path=path, also=bearer, root_path=root_path)).status == status


CACHED = App(headers=[("cache-control", "public"), ("dpop-nonce", "of-the-app")])


@pytest.mark.requirement("R-8-04", "R-9449-NS")
@pytest.mark.parametrize("options", [{"public_paths": ["/r"]}, {"protect": "routes"}], ids=["public", "routes"])
async def test_chosen_responses_have_a_nonce_without_a_known_caller(make_api, options):
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
