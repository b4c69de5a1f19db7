import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from dpop_asgi.cli.demo.client import Exchange
from dpop_asgi.cli.demo.screen import Screen
from dpop_asgi.cli.demo.steps import Expected, Step, exit_code
from dpop_asgi.errors import Reason

URL = "https://api.example.com/orders"
EXPECTED = Expected(status=401, error="use_dpop_nonce", reason=Reason.NONCE_EXPIRED, new_nonce=True)


@pytest.fixture
def step(client, issuer, clock):
    """A nonce past the window, rejected as it has to be."""
    token = issuer.access_token(client)
    seen = Exchange(
        request_line="GET /orders",
        sent=client.headers("GET", URL, token, nonce="old-nonce-of-the-client"),
        sent_at=clock.now,
        status=401,
        received={
            "www-authenticate": 'DPoP error="use_dpop_nonce", error_description="Why", algs="ES256 PS256 Ed25519"',
            "dpop-nonce": "new-nonce-of-the-server",
        },
        content='{"error": "use_dpop_nonce"}',
        milliseconds=12.345,
        log="nonce_expired slots_ago=2",
    )
    return Step(
        title="Nonce past the window",
        sentence="The client was asleep.",
        look_at="nonce",
        nonce="old-nonce-of-the-client",
        expected=EXPECTED,
        seen=seen,
    )


def shown(*calls, width=100):
    text = io.StringIO()
    screen = Screen(Console(file=text, width=width))
    for name, *arguments in calls:
        getattr(screen, name)(*arguments)
    return text.getvalue()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"status": 200}, id="status"),
        pytest.param({"error": "invalid_token"}, id="error"),
        pytest.param({"error": None}, id="no-error"),
        pytest.param({"reason": Reason.NONCE_UNKNOWN}, id="reason"),
        pytest.param({"content": "hello"}, id="content"),
    ],
)
def test_one_wrong_response_is_marked_where_it_is_shown_and_in_the_table_and_gives_exit_code_1(step, wrong):
    other = replace(step, expected=replace(EXPECTED, **wrong))
    assert not other.agrees
    assert exit_code([step, other, step]) == 1
    assert shown(("step", other)).splitlines()[-1].startswith("    Expected: ")
    assert "Expected: " not in shown(("step", step))
    for width in (80, 160):
        table = shown(("table", [step, other]), ("verdict", [step, other], 1.0), width=width)
        assert re.findall(r" (yes|no) *$", table, re.MULTILINE) == ["yes", "no"]
        assert "1 of 2 responses are not as expected. That took 1.0 s." in table


@pytest.mark.parametrize(
    "nonce", [pytest.param("old-nonce-of-the-client", id="the-same"), pytest.param(None, id="none")]
)
def test_a_response_that_lacks_a_new_nonce_disagrees(step, nonce):
    received = {**step.seen.received, "dpop-nonce": nonce}
    assert not replace(step, seen=replace(step.seen, received=received)).agrees


def test_a_wide_terminal_gets_the_reasons_in_the_table(step):
    assert shown(("table", [step]), width=160).count("401 use_dpop_nonce (nonce_expired) + nonce") == 2


def test_a_step_shows_what_matters_on_both_sides(step):
    text = shown(("step", step))
    assert "→ GET /orders" in text
    assert re.search(r"Authorization +DPoP eyJ\S{5}…  for alice, bound to key \S{8}…", text)
    assert re.search(r"DPoP +eyJ\S{5}…  key=\S{8}…  htm=GET  htu=https://api.example.com/orders  iat=now", text)
    assert "nonce=old-nonc…" in text
    assert "← 401 Unauthorized  12.3 ms" in text
    assert 'DPoP error="use_dpop_nonce", error_description="Why", algs="ES256…"' in text
    assert re.search(r"DPoP-Nonce +new-nonc…  a new one", text)
    assert re.search(r"Server log +nonce_expired slots_ago=2", text)


def test_no_token_and_no_proof_is_shown_in_full(step):
    text = shown(("step", step), width=5000)
    for credential in step.seen.sent.values():
        assert all(part not in text for part in credential.removeprefix("DPoP ").split("."))


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_every_width_of_terminal_is_kept(step, width):
    text = shown(("opening", {"its store": "memory://"}), ("step", step), ("table", [step, step]), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_a_wait_that_is_over_is_not_mentioned():
    assert shown(("wait", 0.0, "for nothing")) == ""
