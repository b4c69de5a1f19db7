"""`dpop-asgi check` as a user starts it; what it makes of dates, of round trips, and of the name of an issuer."""

import json
import os
import re
import subprocess
import sys

import pytest

from dpop_asgi.cli.check.clock import Ahead, clock_findings
from dpop_asgi.cli.check.configuration import DEFAULTS, effective_settings
from dpop_asgi.cli.check.products import recognise
from dpop_asgi.cli.check.store import StoreSeen, store_findings
from dpop_asgi.cli.check.text import sentence
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


# Its parts

OWN_DOMAIN = "https://id.example.com"


def test_what_a_date_cannot_tell_is_not_held_against_a_clock():
    """It has whole seconds, and the response took a while: somewhere between six behind and one ahead."""
    assert [finding.verdict for finding in clock_findings([Ahead(-6.0, 1.0)], [], max_future=60.0)] == ["ok"]


@pytest.mark.parametrize(
    ("seconds", "name"), [pytest.param(0.1, "store_round_trip", id="fast"), pytest.param(0.13, "store_slow", id="slow")]
)
def test_a_round_trip_that_uses_up_the_deadline_is_found(seconds, name):
    found = store_findings(object(), StoreSeen(seconds=seconds), timeout=0.25)
    assert next(found).name == name


@pytest.mark.parametrize(
    ("issuer", "metadata", "product"),
    [
        ("https://id.example.com/realms/shop", {}, "Keycloak"),
        ("https://shop.eu.auth0.com/", {}, "Auth0"),
        (OWN_DOMAIN, {"mfa_challenge_endpoint": f"{OWN_DOMAIN}/mfa/challenge"}, "Auth0"),
        ("https://shop.okta.com", {}, "Okta's organization server"),
        (OWN_DOMAIN, {"jwks_uri": f"{OWN_DOMAIN}/oauth2/v1/keys"}, "Okta's organization server"),
        ("https://shop.okta.com/oauth2/default", {}, "Okta"),
        (OWN_DOMAIN, {"jwks_uri": f"{OWN_DOMAIN}/oauth2/aus1/v1/keys"}, "Okta"),
        ("https://login.microsoftonline.com/4d1c/v2.0", {}, "Microsoft Entra ID"),
        ("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a", {}, "Amazon Cognito"),
        ("https://accounts.google.com", {}, "Google"),
        (
            OWN_DOMAIN,
            {"device_authorization_endpoint": f"{OWN_DOMAIN}/oauth2/device_authorization"},
            "Spring Authorization Server",
        ),
        (OWN_DOMAIN, {"token_endpoint": f"{OWN_DOMAIN}/connect/token"}, "Duende IdentityServer or OpenIddict"),
        (OWN_DOMAIN, {"token_endpoint": f"{OWN_DOMAIN}/oauth2/token", "jwks_uri": 1}, None),
    ],
    ids=repr,
)
def test_an_issuer_is_recognised_by_its_name_or_its_metadata(issuer, metadata, product):
    found = recognise(issuer, metadata)
    assert (found.name if found else None) == product


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no one at redis://app:hunter2@h", "No one at redis://***@h."),
        ("no one at redis://app:pa ss'hunter2@h", "No one at redis://***@h."),
        ('no one at redis://app:pa\nss"hunter2@h', "No one at redis://***@h."),
        ("'https://h/?key=hunter2' has a query", "'https://h/?***' has a query."),
        ("no one at https://h, but at https://i", "No one at https://h, but at https://i."),
    ],
)
def test_no_password_in_a_message_is_shown(message, shown):
    assert sentence(message) == shown


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ("redis://10.0.0.1:6379/0", "redis://10.0.0.1:6379/0"),
        ("redis://app:hunter2@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"),
        ("redis://app:pa'ss \"hunter2@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"),
        ("redis://app:a@b?hunter2@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"),
        ("app:hunter2@redis.internal:6379/0", "***@redis.internal:6379/0"),
        ("redis:/:hunter2@h", "***@h"),
        ("redis://h/0?password=ab'hunter2", "redis://h/0?***"),
        ("redis://h/0?password=a@hunter2?b", "redis://***@hunter2?***"),
    ],
)
def test_no_password_of_the_store_is_shown(store, shown):
    values = {setting.name: setting.value for setting in effective_settings({"DPOP_STORE": store})}
    assert values["DPOP_STORE"] == shown
