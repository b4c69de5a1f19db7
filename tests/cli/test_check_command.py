"""`dpop-asgi check` as a user starts it."""

import json
import os
import re
import subprocess
import sys

from dpop_asgi.cli.check.configuration import DEFAULTS
from dpop_asgi.settings import VARIABLES, Settings
from tests.support.processes import AUDIENCE


def _run(environment, *arguments):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "WEB_CONCURRENCY"))}
    return subprocess.run(
        [sys.executable, "-m", "dpop_asgi.cli", "check", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**kept, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **environment},
        timeout=120,
        check=False,
    )


def test_the_command_prints_what_to_change_in_80_columns_and_exits_with_1(planted):
    planted.set(
        ISSUER=f"{planted.website.url}/", NONCE_PERIDO="60", STORE="redis://app:hunter2@127.0.0.1:1/0?password=hunter2"
    )
    done = _run(planted.environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.search(r"^DPOP_STORE +redis://\*\*\*@127\.0\.0\.1:1/0\?\*\*\* +environment", done.stdout, re.MULTILINE)
    assert re.search(r"^DPOP_MODE +required +default", done.stdout, re.MULTILINE)
    assert f"→ Set DPOP_ISSUER={planted.website.url}, if" in done.stdout
    assert "2 errors, 1 warning. Requests would fail." in done.stdout
    assert "hunter2" not in done.stdout
    assert "Traceback" not in done.stdout


def test_the_command_prints_json_and_exits_with_0(planted):
    planted.set(STORE=f"redis://:hunter2@127.0.0.1:{planted.server.port}", MODE="mixed")
    planted.redis.config_set("requirepass", "hunter2")
    planted.keys(*planted.issuer.jwks["keys"], {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"})
    done = _run(planted.environment, "--json")
    planted.redis.config_set("requirepass", "")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["format"], document["ok"]) == (1, True)
    assert {tuple(setting) for setting in document["settings"]} == {("name", "value", "source")}
    assert {setting["name"] for setting in document["settings"]} == set(VARIABLES.values())
    members = ("subject", "name", "verdict", "what", "change")
    assert {tuple(finding) for finding in document["findings"]} == {members}
    assert {"mixed_mode", "issuer_key_unusable", "fence_on"} <= {finding["name"] for finding in document["findings"]}
    assert "hunter2" not in done.stdout


def test_the_defaults_in_the_table_are_those_in_effect():
    needed = {"DPOP_ISSUER": "https://id.example.com", "DPOP_AUDIENCE": AUDIENCE}
    known = {name: value for name, value in DEFAULTS.items() if name in VARIABLES.values()}
    implicit, explicit = (
        Settings.from_environment(environment).authenticator for environment in (needed, {**needed, **known})
    )
    for option in ("mode", "proof_policy", "nonce_policy", "on_store_failure", "namespace"):
        assert getattr(explicit, option) == getattr(implicit, option)
