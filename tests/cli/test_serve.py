import json
import os
import re
import signal
import subprocess
import sys

import httpx2


def shell(script):
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=120, cwd="/").stdout


def command_in(output, start):
    """From a line that starts so to the next sentence."""
    return re.search(rf"^{start}.*?(?=^(?:With|The server) )", output, re.MULTILINE | re.DOTALL)[0]


def test_the_printed_commands_call_the_server(start, nothing_is_left_of):
    demo = start("demo", "--serve")
    demo.wait_for("Its log:")
    export = command_in(demo.output, "export ")
    by_curl = command_in(demo.output, "curl ")
    by_python = command_in(demo.output, re.escape(sys.executable))

    for _ in range(2):
        assert json.loads(shell(f"{export}\n{by_python}"))["sub"] == "alice"

    # The shell unquotes, curl itself need not be there.
    arguments = shell(f"curl() {{ printf '%s\\n' \"$@\"; }}\n{export}\n{by_curl}").splitlines()
    assert arguments[0] == "-i"
    assert arguments[2::2] == ["-H", "-H"]
    headers = dict(field.split(": ", 1) for field in arguments[3::2])
    assert httpx2.get(arguments[1], headers=headers).json()["client_id"] == "demo-client"
    assert httpx2.get(arguments[1], headers=headers).json()["error"] == "invalid_dpop_proof"

    demo.wait_for("rejected: proof_replayed")
    demo.send(signal.SIGINT)
    assert demo.exit_code() == 0
    assert "Stopped." in demo.output
    nothing_is_left_of(demo)


def test_a_server_that_dies_is_reported(start):
    demo = start("demo", "--serve")
    demo.wait_for("Its log:")
    os.kill(int(re.search(r"process (\d+)", demo.output)[1]), signal.SIGKILL)
    assert demo.exit_code() == 1
    assert "dpop-asgi: The resource server exited with code -9." in demo.output
    assert "Uvicorn running" in demo.output, "the last lines of its log"
    assert "Traceback" not in demo.output
