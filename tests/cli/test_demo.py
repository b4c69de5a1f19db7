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
    nothing_is_left_of(demo)


@pytest.mark.requirement("R-9-02", "R-9-04", "R-8-05")
def test_every_answer_is_as_expected_with_redis(start, redis_server, nothing_is_left_of):
    demo = start("demo", "--store", redis_server.url)
    assert demo.exit_code() == 0, demo.output
    assert ROW.findall(demo.output) == ["yes"] * STEPS
    assert redis_server.url in demo.output
    with redis_server.client() as redis:
        assert {key.split(":")[1] for key in redis.keys("dpop-demo:*")} >= {"nonce", "jti"}
    nothing_is_left_of(demo)


def test_a_store_that_goes_away_in_the_middle_gives_exit_code_1(start, redis_binary, nothing_is_left_of):
    with RedisServer(redis_binary) as redis:
        demo = start("demo", "--store", redis.url)
        demo.wait_for("Waiting")
        redis.stop()
        assert demo.exit_code() == 1, demo.output
    assert "no" in ROW.findall(demo.output)
    assert "responses are not as expected." in demo.output
    assert "503 (unavailable)" in demo.output
    nothing_is_left_of(demo)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        pytest.param("redis://alice:secret@127.0.0.1:{port}/0", "ConnectionError", id="nobody-listens"),
        pytest.param("mysql://alice:secret@127.0.0.1", "must start with one of memory://, redis://", id="other-scheme"),
        pytest.param("redis://alice:secret@[", "not a well-formed URL", id="malformed"),
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


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="told-to-end"),
        pytest.param(signal.SIGHUP, 129, id="terminal-closed"),
    ],
)
def test_a_demo_that_is_stopped_in_the_middle_leaves_nothing_behind(start, number, code, nothing_is_left_of):
    demo = start("demo")
    demo.wait_for("Waiting")
    demo.send(number)
    assert demo.exit_code() == code
    assert "Traceback" not in demo.output
    nothing_is_left_of(demo)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [pytest.param({}, True, id="colours"), pytest.param({"NO_COLOR": "1"}, False, id="no-color")],
)
def test_a_terminal_gets_a_spinner_and_the_colours_it_wants(start, environment, coloured):
    demo = start("demo", terminal=True, TERM="xterm-256color", **environment)
    demo.wait_for("Waiting")
    demo.wait_for(r"\d\.\d s\x1b")
    demo.send(signal.SIGINT)
    assert demo.exit_code() == 130
    assert "Starting the issuer and the resource server" in demo.output
    assert (re.search(r"\x1b\[(?:\d+;)*3[0-7]m", demo.output) is not None) is coloured
    assert demo.output.count("\x1b[?25h") == demo.output.count("\x1b[?25l"), "the cursor is left hidden"


def test_an_output_that_cannot_hold_the_arrows_gets_others(start):
    demo = start("demo", PYTHONIOENCODING="ascii")
    demo.wait_for("Waiting")
    assert "> GET /resource" in demo.output
    assert "< 401 Unauthorized" in demo.output
