import re
import signal

import pytest

from tests.support.processes import RedisServer, free_port

STEPS = 14
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
ROW = re.compile(r"^ ?\d+  .+ (yes|no) *$", re.MULTILINE)

# What may stand in the environment of somebody who works with such servers.
FOREIGN = {
    "DPOP_STORE": "redis://127.0.0.1:1",
    "DPOP_NONCE_PERIOD": "0",
    "UVICORN_PORT": "1",
    "UVICORN_WORKERS": "4",
    "WEB_CONCURRENCY": "4",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
}


@pytest.mark.requirement("R-9-02", "R-9-04", "R-8-05")
def test_every_answer_is_as_expected(start, nothing_is_left_of):
    demo = start("demo", **FOREIGN)
    assert demo.exit_code() == 0, demo.output
    assert ROW.findall(demo.output) == ["yes"] * STEPS
    assert f"All {STEPS} responses are as expected." in demo.output
    assert CONTROL.search(demo.output) is None
    assert max(map(len, demo.output.splitlines())) <= 80
    assert re.search(r"eyJ[\w-]{10}", demo.output) is None, "a token or proof is printed"
    # N24: where the token comes from, and how to go on.
    assert re.search(r"→ POST /token\n.*?DPoP +eyJ.*?\"token_type\":\"DPoP\"", demo.output, re.DOTALL)
    assert "dpop-asgi demo --serve" in demo.output
    assert re.search(r"Authorization +none\n +DPoP +none\n +← 401 Unauthorized +\d+\.\d ms\n", demo.output)
    assert "iat=now-24h" in "".join(demo.output.split())
    nothing_is_left_of(demo)


def test_a_store_that_goes_away_in_the_middle_gives_exit_code_1(start, redis_binary, nothing_is_left_of):
    with RedisServer(redis_binary) as redis:
        demo = start("demo", "--store", redis.url)
        demo.wait_for("Waiting")
        with redis.client() as connection:
            assert {key.split(":")[1] for key in connection.keys("dpop-demo:*")} >= {"nonce", "jti"}
        redis.stop()
        assert demo.exit_code() == 1, demo.output
    assert redis.url in demo.output
    assert set(ROW.findall(demo.output)) == {"yes", "no"}
    assert "responses are not as expected." in demo.output
    assert "503 (unavailable)" in demo.output
    nothing_is_left_of(demo)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        pytest.param("redis://alice:secret@127.0.0.1:{port}/0", "ConnectionError", id="nobody-listens"),
        pytest.param("mysql://alice:secret@127.0.0.1", "must start with one of memory://, redis://", id="other-scheme"),
    ],
)
def test_a_store_that_cannot_be_used_is_reported_before_the_conversation(start, url, complaint):
    demo = start("demo", "--store", url.format(port=free_port()))
    assert demo.exit_code() == 1
    assert demo.output.startswith("dpop-asgi: The store ")
    assert complaint in demo.output
    assert "secret" not in demo.output
    assert "Traceback" not in demo.output
    assert "GET" not in demo.output


ON_A_TERMINAL = {"terminal": True, "TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("number", "code", "options"),
    [
        pytest.param(signal.SIGINT, 130, ON_A_TERMINAL, id="ctrl-c"),
        pytest.param(signal.SIGHUP, 129, {**ON_A_TERMINAL, "NO_COLOR": "1"}, id="terminal-closed, no-color"),
        pytest.param(signal.SIGTERM, 143, {"PYTHONIOENCODING": "ascii"}, id="told-to-end, without arrows"),
    ],
)
def test_a_demo_that_is_stopped_in_the_middle_leaves_nothing_behind(start, number, code, options, nothing_is_left_of):
    """A terminal gets a spinner and the colours it wants, an output that cannot hold the arrows gets others."""
    on_a_terminal = "terminal" in options
    demo = start("demo", **options)
    demo.wait_for("Waiting")
    demo.wait_for(r"\d\.\d s\x1b" if on_a_terminal else "> GET /resource\n[^→]+< 401 Unauthorized")
    demo.send(number)
    assert demo.exit_code() == code
    assert "Traceback" not in demo.output
    nothing_is_left_of(demo)
    assert ("Starting the issuer and the resource server" in demo.output) is on_a_terminal
    coloured = re.search(r"\x1b\[(?:\d+;)*3[0-7]m", demo.output) is not None
    assert coloured is (on_a_terminal and "NO_COLOR" not in options)
    assert demo.output.count("\x1b[?25h") == demo.output.count("\x1b[?25l"), "the cursor is left hidden"
