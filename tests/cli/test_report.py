"""`dpop-asgi report`: who is left on Bearer, from whatever a log looks like. And a migration, rehearsed."""

import io
import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typer.testing import CliRunner

from dpop_asgi import Authenticator, Decision, DecisionLog, DPoPMiddleware, JWTVerifier, MemoryStore, Reason
from dpop_asgi.cli.app import app as command
from dpop_asgi.testing import ManualClock, OfflineAPI

URL = "https://api.example.com"
BEARER = Decision("accepted", scheme="Bearer", bound=False, client_id="batch")
DPOP = Decision("accepted", scheme="DPoP", bound=True, client_id="web")


@pytest.fixture
def log():
    """A log as `logging.basicConfig` would write it, and the observer that writes it at a time of its own."""
    stream, clock = io.StringIO(), ManualClock()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logger = logging.Logger("decisions", logging.INFO)  # noqa: LOG001 - of this test alone
    logger.addHandler(handler)
    stream.observer, stream.clock = DecisionLog(logger, clock=clock), clock
    return stream


def _run(text, *arguments):
    return CliRunner().invoke(command, ["report", "-", *arguments], input=text, env={"COLUMNS": "80"})


def _read(text):
    ran = _run(text, "--json")
    assert ran.exit_code in (0, 1), ran.output
    return json.loads(ran.stdout)


def test_a_line_has_what_is_known_and_nothing_else(log):
    log.observer(BEARER)
    log.observer(Decision("refused", Reason.AUTHORIZATION_MISSING))
    log.observer(DPOP._replace(outcome="refused", reason=Reason.SCOPE_INSUFFICIENT, after_acceptance=True))
    lines = log.getvalue().splitlines()
    assert lines[0] == (
        'INFO:decisions:{"time": "2023-11-14T22:13:20Z", "outcome": "accepted", "scheme": "Bearer", "bound": false,'
        ' "client_id": "batch"}'
    )
    assert lines[1].endswith(
        '{"time": "2023-11-14T22:13:20Z", "outcome": "refused", "reason": "authorization_missing"}'
    )
    assert lines[2].endswith('"bound": true, "client_id": "web", "after_acceptance": true}')


def test_what_a_client_may_have_chosen_stays_within_its_line(log):
    log.observer(BEARER._replace(client_id="x" * 5000))
    log.observer(BEARER._replace(client_id='a"}\n\x1b[31mforged\u2028'))
    first, second = log.getvalue().splitlines()
    assert len(first) < 400
    assert second.isascii()
    assert second.isprintable()
    shown = _run(log.getvalue()).stdout
    assert 'a"}?' in shown
    assert "\x1b[31mforged" not in shown


def test_what_a_client_has_sent_hides_no_decision_in_the_same_line(log):
    """A formatter may put it first, such as a User-Agent: who is on Bearer would seem to have switched."""
    log.observer(DPOP._replace(client_id="batch"))
    forged = log.getvalue()
    log.observer(BEARER)
    line = json.dumps({"user_agent": forged, "message": log.getvalue().splitlines()[-1], "copy": forged})
    assert _read(line)["left"] == ["batch"]
    assert _read(line)["decisions"] == 2


LINE = '{"outcome": "accepted", "scheme": "Bearer", "client_id": "batch"}'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LINE, id="by itself"),
        pytest.param(f"INFO:dpop_asgi.decisions:{LINE}", id="basicConfig"),
        pytest.param(f"Nov 28 04:02:11 host api[71]: {LINE} (pid=71)", id="syslog"),
        pytest.param(f"INFO {{thread}} {{'a': 1}} {LINE}", id="other braces before it"),
        pytest.param(json.dumps({"level": "info", "message": LINE}), id="in JSON, as text"),
        pytest.param(json.dumps({"level": "info", "message": json.loads(LINE)}), id="in JSON, as an object"),
        pytest.param(json.dumps({"log": f"INFO: {json.dumps({'event': LINE})}\n"}), id="a container around JSON"),
    ],
)
def test_a_decision_is_found_in_whatever_is_around_it(line):
    found = _read(f"Started\n{line}\n")
    assert found["clients"] == {"batch": {"dpop": 0, "bearer": 1, "last_bearer": None}}
    assert (found["decisions"], found["other_lines"]) == (1, 1)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("\x00\xff{", id="no text"),
        pytest.param('{"outcome": ["accepted"]', id="cut off"),
        pytest.param('{"outcome": "won"}', id="another outcome"),
        pytest.param('{"outcome": ["accepted"]}', id="several outcomes"),
        pytest.param("{" * 100_000, id="braces"),
        pytest.param('{"a":' * 5000 + "1" + "}" * 5000, id="deep"),
        pytest.param('{"outcome": ' + "9" * 5000 + "}", id="a huge number"),
    ],
)
def test_what_is_no_decision_is_counted_and_nothing_more(line):
    assert _read(f"{line}\n{LINE}\n")["other_lines"] == 1


def test_strange_members_of_a_decision_are_left_out():
    line = json.dumps({"outcome": "accepted", "scheme": "Bearer", "client_id": ["x"], "reason": 5, "time": {}})
    no_scheme = '{"outcome": "accepted", "scheme": {"a": 1}}'
    assert _read(f"{line}\n{no_scheme}\n")["clients"] == {"unknown": {"dpop": 0, "bearer": 1, "last_bearer": None}}


def test_the_report_says_in_80_columns_who_is_left(log):
    for _ in range(1204):
        log.observer(DPOP)
    log.observer(DPOP._replace(client_id="batch"))
    log.clock.advance(86400)
    log.observer(BEARER)
    log.observer(Decision("refused", Reason.BOUND_TOKEN_AS_BEARER, scheme="Bearer", bound=True, client_id="web"))
    for number in range(7):
        log.observer(Decision("refused", Reason.NONCE_MISSING, scheme="DPoP", client_id=f"client-number-{number}"))
    log.observer(Decision("unavailable", unavailable="store", scheme="DPoP"))
    ran = _run(f"Started\n{log.getvalue()}")
    assert ran.exit_code == 1
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert [line.split() for line in ran.stdout.splitlines() if line.startswith(("batch", "web"))] == [
        ["batch", "1", "1", "2023-11-15T22:13:20Z"],
        ["web", "1,204", "0"],
    ]
    assert "1 request got a 503" in ran.stdout
    assert "1 line without a decision" in ran.stdout
    assert "and 2 more" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "DPoP only: 1 of 2 clients. Still on Bearer: batch."


def test_when_nobody_is_left_the_exit_code_says_so(log):
    log.observer(DPOP)
    ran = _run(log.getvalue())
    assert (ran.exit_code, ran.stdout.splitlines()[-1]) == (0, "DPoP only: 1 of 1 client. None is left on Bearer.")
    nobody = _run('{"outcome": "refused", "reason": "nonce_missing"}')
    assert (nobody.exit_code, nobody.stdout.splitlines()[-1]) == (0, "No request was accepted.")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param("nothing\n", "there are no decisions in it", id="no decisions"),
        pytest.param(None, "can't be read: No such file", id="no file"),
    ],
)
def test_a_log_that_cannot_be_used_is_a_usage_error(tmp_path, content, complaint):
    path = tmp_path / "api.log"
    if content is not None:
        path.write_text(content)
    ran = CliRunner().invoke(command, ["report", str(path)])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert complaint in " ".join(ran.stderr.split())


# The migration of docs/migration.md


async def _orders(_):
    return PlainTextResponse("orders")


def test_the_log_of_a_migration_says_who_is_left(log):
    """One client has switched, and its old tokens are worth nothing to whoever stole one; another one has not."""
    verify, app = JWTVerifier(issuer="https://issuer.invalid", audience=URL), Starlette(routes=[Route("/r", _orders)])
    authenticator = Authenticator(
        verify_token=verify,
        store=MemoryStore(),
        observer=log.observer,
        mode="mixed",
        allow_bearer=lambda token: token.client_id != "web",
    )
    with OfflineAPI(DPoPMiddleware(app, authenticator=authenticator, public_url=URL), clock=log.clock) as api:
        web = api.client(claims={"client_id": "web"})
        assert web.get("/r").status_code == 200
        tokens = {name: api.issuer.access_token(claims={"client_id": name}) for name in ("web", "batch")}
        tokens["web, bound"] = web.token
        for name, token in tokens.items():
            response = web.get("/r", headers={"Authorization": f"Bearer {token}"}, auth=None)
            assert response.status_code == (200 if name == "batch" else 401), name
    report = _read(log.getvalue())
    assert report["left"] == ["batch"]
    assert report["clients"]["web"]["bearer"] == 0
    assert report["rejected"].keys() >= {"bearer_not_accepted", "bound_token_as_bearer"}
