"""What people paste into `dpop-asgi explain`, and how it ends."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from dpop_asgi.cli.app import app
from dpop_asgi.cli.explain.reading.text import read
from dpop_asgi.cli.explain.run import Options
from dpop_asgi.cli.explain.run import explain as run_explain
from dpop_asgi.cli.unusable import Unusable
from tests.cli.pasted import curl_v
from tests.cli.situations import NONCE, URL
from tests.support.processes import ROOT

# What people paste


def _as_curl(case, line=" \\\n  "):
    headers = [f"Authorization: DPoP {case.token}", f"DPoP: {case.proof}", "Content-Type: text/plain"]
    words = ["curl", "-sSi", "-X", "GET", f"{URL}?page=2", "--max-time", "3"]
    return " ".join(map(shlex.quote, words)) + "".join(f"{line}-H {shlex.quote(header)}" for header in headers)


def _for_cmd(case):
    """As Chromium copies it "as cURL (cmd)": see escapeStringWin in its developer tools."""
    words = [f"{URL}?a=%20b&c", f"authorization: DPoP {case.token}", f"dpop: {case.proof}", 'sec-ch-ua: "A^;B";v="8"']
    first, *headers = (re.sub(r"[^\w\s\-:=+~'/.',?;()*`]", r"^\g<0>", word.replace('"', '\\"')) for word in words)
    return " ^\r\n  ".join([f'curl ^"{first}^"', *(f'-H ^"{header}^"' for header in headers)])


def _entry(case, *names):
    headers = {"authorization": f"DPoP {case.token}", "dpop": case.proof, ":method": "GET"}
    request = {"method": "GET", "url": f"{URL}?page=2", "headers": _pairs({n: headers[n] for n in names or headers})}
    sent = "2023-11-14T22:13:20.000Z"
    return {"startedDateTime": sent, "request": request, "response": {"status": 0, "headers": []}}


def _har(case, old, new):
    return json.dumps(_entry(case)).replace(old, new)


def _pairs(headers):
    return [{"name": name, "value": value} for name, value in headers.items()]


def _broken_by_a_terminal(case):
    text = curl_v(case)
    return text.replace(case.proof[100:], f"\n{case.proof[100:]}")


PASTED = {
    "proof": (lambda case: case.proof, None),
    "proof-in-quotes": (lambda case: f' "{case.proof}"\n', None),
    "proof-in-lines": (lambda case: "\n".join([case.proof[:200], case.proof[200:]]), None),
    "headers": (lambda case: f"DPoP: {case.proof}\nHost: api.example.com", None),
    "request": (lambda case: f"GET /orders HTTP/1.1\nHost: api.example.com\nDPoP: {case.proof}\n", URL),
    "curl-command": (_as_curl, URL),
    "curl-command-in-one-line": (lambda case: "$ " + _as_curl(case, " "), URL),
    "curl-command-with-a-variable": (
        lambda case: f'curl {URL} -H "Authorization: DPoP $TOKEN" -H "DPoP: {case.proof}"',
        URL,
    ),
    "curl-command-for-cmd": (_for_cmd, URL),
    "curl-command-for-bash": (lambda case: _as_curl(case) + r" -H $'sec-ch-ua: \"Not\u0021A\', x'", URL),
    "curl-v": (curl_v, URL),
    "curl-v-broken-by-a-terminal": (_broken_by_a_terminal, URL),
    "har-entry": (lambda case: json.dumps(_entry(case)), URL),
    "har-request": (lambda case: json.dumps(_entry(case)["request"]), URL),
    "har-without-sensitive-data": (lambda case: json.dumps({"log": {"entries": [_entry(case, "dpop")]}}), URL),
}


@pytest.mark.parametrize(("paste", "url"), [pytest.param(*row, id=name) for name, row in PASTED.items()])
def test_what_is_pasted_is_read(situation, paste, url):
    message = read(paste(situation))
    assert message.proofs == (situation.proof,)
    assert (message.url or "").partition("?")[0] == (url or "")
    assert message.authorizations in (None, (f"DPoP {situation.token}",), ())
    assert message.method in {None, "GET"}


@pytest.mark.parametrize(
    ("command", "method"),
    [
        ("curl -X PATCH {}", "PATCH"),
        ("curl -XPUT {}", "PUT"),
        ("curl -sSI {}", "HEAD"),
        ("curl {} -d a=b", "POST"),
        ("curl {} --json {{}}", "POST"),
        ("curl -G {} -d a=b", "GET"),
        ("curl -T file {}", "PUT"),
        ("curl --request=DELETE --url {}", "DELETE"),
        ("curl --noproxy '*' {}", "GET"),
        ("curl --tls-max 1.2 -z 2026-01-01 {} -C 0", "GET"),
        ("curl --an-option-of-tomorrow eth0 {}", "GET"),
        ("curl -o /dev/null --interface eth0 --url {}", "GET"),
    ],
)
def test_the_method_of_a_curl_command_is_the_one_that_curl_sends(command, method):
    message = read(command.format(URL) + " -H 'DPoP: eyJ.eyJ.x'")
    assert (message.method, message.url) == (method, URL)


@pytest.mark.parametrize(
    "proof", ["$PROOF", "${PROOF}", "$(dpop-asgi prove --key k --url u)", "`cat proof`", "%PROOF%"]
)
def test_a_variable_of_the_shell_is_not_known(explained, proof):
    command = f'curl "$API/orders" -H "Authorization: DPoP $TOKEN" -H "DPoP: {proof}"'
    code, printed = explained(Options(proof=command, now=1_700_000_000.0))
    assert (code, "Nothing fails." in printed) == (0, True)
    assert "the proof isn't known: the shell hasn't put it in" in printed


@pytest.mark.parametrize(
    ("log", "url"),
    [
        ("* Connected to api.example.com (10.0.0.1) port 80", "http://api.example.com/orders"),
        ("* [HTTP/2] [1] OPENED stream for https://api.example.com/orders", URL),
        ("* h2h3 [:scheme: https]", URL),
    ],
)
def test_the_scheme_is_the_one_that_curl_used(situation, log, url):
    assert read(curl_v(situation, log)).url == url


def test_of_several_requests_the_rejected_one_is_explained(situation):
    first = curl_v(situation).replace("200 OK", "401 Unauthorized")
    assert read(f"{first}\n{curl_v(situation)}").response.status == 401


# Captured from the published clients with a local server in between (the tokens are thrown away): the first response is
# a challenge, so that is why the first request was rejected. curl and the page in Chromium were given broken proofs.
MESSAGES = ROOT / "tests/data/messages"
CAPTURED = {
    "oauth4webapi.txt": {"nonce_missing": "how each conversation begins"},
    "openid-client.txt": {"nonce_missing": "how each conversation begins"},
    "atproto.txt": {"nonce_missing": "how each conversation begins"},
    "dpop.txt": {"nonce_missing": "how each conversation begins"},
    "requests_oauth2client.txt": {"nonce_missing": "how each conversation begins"},
    "curl-http1.txt": {"target_mismatch": "http is signed, https is called"},
    "curl-http2.txt": {"target_mismatch": "http is signed, https is called"},
    "chromium.har": {
        "issued_in_future": "iat is in milliseconds",
        "nonce_missing": "how each conversation begins",
        "binding_mismatch": "made a new key and kept the token",
    },
}


@pytest.mark.parametrize(("name", "causes"), [pytest.param(*row, id=row[0]) for row in CAPTURED.items()])
def test_what_real_clients_send_is_explained(explained, name, causes):
    code, printed = explained(Options(proof=str(MESSAGES / name), as_json=True))
    report = json.loads(printed)
    assert (code, report["failed"]) == (1, list(causes))
    for check in report["checks"]:
        assert check["outcome"] != "fail" or causes[check["reason"]] in check["cause"]
    unknown = {check["reason"] for check in report["checks"] if check["outcome"] == "unknown"}
    assert {"signature_invalid", "token_hash_mismatch", "method_mismatch", "issued_too_early"} & unknown == set()


# The command


def test_the_command_reads_standard_input_in_any_encoding(situation):
    done = subprocess.run(
        [sys.executable, "-m", "dpop_asgi.cli", "explain", "--nonce", NONCE],
        input=curl_v(situation),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing fails." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        pytest.param(["--nonce", NONCE], curl_v, 0, id="nothing-fails"),
        pytest.param(["-", "--now", "1800000000", "--json"], curl_v, 1, id="something-fails"),
        pytest.param([], lambda case: _har(case, case.proof, "\\ud800"), 1, id="half-a-character-as-proof"),
        pytest.param([], lambda case: _har(case, case.token, "\\ud800"), 1, id="half-a-character-as-token"),
        pytest.param([], lambda case: curl_v(case).replace("2023", "9" * 20), 1, id="a-date-in-no-year"),
        pytest.param([], lambda case: _har(case, '"status": 0', '"status": 1e999'), 2, id="an-endless-status"),
        pytest.param([], lambda _: "hunter2 is no proof", 2, id="not-a-proof"),
        pytest.param(["--nonsense"], lambda _: "", 2, id="no-such-option"),
    ],
)
def test_the_exit_code_says_what_was_found(situation, arguments, text, code):
    done = CliRunner().invoke(app, ["explain", *arguments], input=text(situation))
    assert (done.exit_code, type(done.exception)) == (code, SystemExit if code else type(None))
    assert "hunter2" not in done.output
    if "--json" in arguments:
        assert json.loads(done.output)["failed"] == ["issued_too_early", "token_expired"]


@pytest.mark.parametrize(
    ("text", "changes", "complaint"),
    [
        pytest.param("", {}, "The input is empty", id="nothing"),
        pytest.param("hunter2", {}, "The input isn't a DPoP proof, the output of curl -v", id="a-word"),
        pytest.param("hunter2.har", {}, "there is no such file", id="no-such-file"),
        pytest.param("../hunter2", {}, "there is no such file", id="a-path"),
        pytest.param('{"hunter2', {}, "can't be parsed", id="half-json"),
        pytest.param('{"kty": "EC", "d": "hunter2"}', {}, "not a HAR file", id="a-private-key"),
        pytest.param("curl 'hunter2", {}, "cut off", id="half-a-command"),
        pytest.param("[]", {}, "no request in the input", id="an-empty-file"),
        pytest.param("a.b.c", {"url": "hunter2"}, "--url: must be an absolute URL", id="url"),
        pytest.param("a.b.c", {"jwks": "/no/such/file"}, "--jwks: the file can't be read", id="no-jwks"),
        pytest.param("a.b.c", {"jwks": "https://[::1/hunter2"}, "--jwks: the URL can't be fetched", id="no-url"),
        pytest.param("a.b.c", {"jwks": __file__}, "--jwks: must be a key set", id="not-a-jwks"),
        pytest.param("a.b.c", {"store": "memory://"}, "--store: not a well-formed URL", id="store"),
        pytest.param("eyJ9.e30.c", {"store": "redis://:hunter2@127.0.0.1:1"}, "--store: ", id="no-store"),
    ],
)
def test_what_cannot_be_used_is_named_without_its_value(no_settings, text, changes, complaint):
    with pytest.raises(Unusable) as unusable:
        run_explain(Options(proof=text, **changes))
    assert complaint in str(unusable.value)
    assert "hunter2" not in str(unusable.value)


def test_a_file_that_cannot_be_read_is_named(no_settings):
    """A file that exists, and that no one can read, not even root."""
    with pytest.raises(Unusable, match=r"^PROOF\|FILE: the file can't be read"):
        run_explain(Options(proof="/proc/self/mem"))


def test_the_output_in_the_documentation_is_the_real_one(explained, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printed = explained(Options(proof=str(MESSAGES / "curl-http1.txt")))[1]
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    assert f"```text\n{lines}\n```" in (ROOT / "docs/explain.md").read_text("utf-8")
