"""`dpop-asgi check`: every mistake gets the finding of its name, and what to change."""

import pytest

from dpop_asgi.cli.check.run import examine
from tests.support.processes import free_port


@pytest.mark.parametrize(
    ("prepare", "more"),
    [
        pytest.param(lambda _: None, set(), id="signed-tokens"),
        pytest.param(lambda p: p.announce_by_openid(), set(), id="openid-configuration"),
        pytest.param(
            lambda p: p.publish("/realms/shop") or p.set(TOKEN_TYPES="at+JWT, jwt"), set(), id="X02: Keycloak"
        ),
        pytest.param(lambda p: p.publish(keys="/oauth2/a/v1/keys") or p.set(TOKEN_TYPES="none"), set(), id="X02: Okta"),
        pytest.param(lambda p: p.website.pages["/jwks"].headers.update(age="9" * 400), set(), id="an-endless-age"),
        pytest.param(
            lambda p: p.set(PROOF_MAX_FUTURE="60", PROOF_MAX_AGE="900", NONCE_PERIOD="600", NONCE_GRACE="4"),
            set(),
            id="the-longest-times",
        ),
        pytest.param(lambda p: p.introspect(), {"introspection_works"}, id="opaque-tokens"),
        pytest.param(
            lambda p: p.introspect() or p.set(INTROSPECTION_CACHE="900"),
            {"introspection_works"},
            id="opaque-tokens-remembered-for-the-longest-time",
        ),
        pytest.param(
            lambda p: p.introspect() or p.publish() or p.set(INTROSPECTION_ENDPOINT=p.website.endpoint),
            {"introspection_works"},
            id="opaque-tokens-by-an-endpoint-that-is-not-announced",
        ),
    ],
)
async def test_a_good_configuration_has_nothing_to_change(planted, prepare, more):
    prepare(planted)
    report = await planted.report()
    assert [finding for finding in report.findings if finding.verdict != "ok"] == []
    assert {finding.name for finding in report.findings} == {
        "settings_valid",
        "public_url_set",
        "issuer_metadata",
        "issuer_keys",
        "token_types",
        "dpop_announced",
        "store_round_trip",
        "store_version",
        "fence_on",
        "clock_of_issuer",
        "clock_of_store",
        *more,
    }
    assert report.exit_code == 0


def _key(planted, **changes):
    [key] = planted.issuer.jwks["keys"]
    return {name: value for name, value in {**key, **changes}.items() if value is not None}


def _another(planted, **changes):
    """A good key, and one that is spoilt."""
    planted.keys(_key(planted), _key(planted, kid="other", **changes))


def _limited_user(planted, *rules):
    planted.redis.execute_command("ACL", "SETUSER", "app", "reset", "on", ">hunter2", "~dpop:*", "+ping", *rules)
    planted.set(STORE=f"redis://app:hunter2@127.0.0.1:{planted.server.port}/0")


def _evicting(planted):
    planted.redis.config_set("maxmemory", "100mb")
    planted.redis.config_set("maxmemory-policy", "allkeys-lru")


MISTAKES = [
    # settings
    ("setting_missing", "error", "DPOP_AUDIENCE", lambda p: p.set(AUDIENCE="")),
    ("setting_invalid", "error", "DPOP_MODE", lambda p: p.set(MODE="both")),
    ("unknown_setting", "warning", "Did you mean DPOP_PUBLIC_URL?", lambda p: p.set(PUBLIC_URI="hunter2")),
    ("ignored_setting", "warning", "Remove DPOP_NONCE_GRACE", lambda p: p.set(NONCE_PERIOD="0", NONCE_GRACE="2")),
    ("nonces_off", "warning", "DPOP_NONCE_PERIOD", lambda p: p.set(NONCE_PERIOD="0")),
    ("accepts_without_store", "warning", "refuse", lambda p: p.set(ON_STORE_FAILURE="accept")),
    ("max_future_too_small", "warning", "DPOP_PROOF_MAX_FUTURE", lambda p: p.set(PROOF_MAX_FUTURE="3")),
    # Milliseconds, where seconds are meant.
    ("max_future_too_large", "warning", "DPOP_PROOF_MAX_FUTURE", lambda p: p.set(PROOF_MAX_FUTURE="10000")),
    ("max_age_too_large", "warning", "DPOP_PROOF_MAX_AGE", lambda p: p.set(PROOF_MAX_AGE="300000")),
    ("nonces_live_long", "warning", "DPOP_NONCE_PERIOD", lambda p: p.set(NONCE_PERIOD="60000")),
    ("nonces_live_long", "warning", "DPOP_NONCE_GRACE", lambda p: p.set(NONCE_GRACE="100")),
    (
        "introspection_remembered_long",
        "warning",
        "DPOP_INTROSPECTION_CACHE",
        lambda p: p.introspect() or p.set(INTROSPECTION_CACHE="30000"),
    ),
    ("mixed_mode", "warning", "DPOP_MODE=required", lambda p: p.set(MODE="mixed")),
    ("plain_http_issuer", "warning", "keycloak", lambda p: p.set(INSECURE_HTTP_HOSTS="keycloak")),
    (
        "plain_http_public_url",
        "warning",
        "http://api",
        lambda p: p.set(PUBLIC_URL="http://api", INSECURE_HTTP_HOSTS="api"),
    ),
    (
        "memory_store_of_several_workers",
        "warning",
        "DPOP_STORE",
        lambda p: p.set(STORE="") or p.process.setenv("WEB_CONCURRENCY", "4"),
    ),
    # public URL
    ("public_url_not_set", "warning", "DPOP_PUBLIC_URL", lambda p: p.set(PUBLIC_URL="")),
    (
        "public_url_loopback_only",
        "warning",
        "http://localhost:8000",
        lambda p: p.set(PUBLIC_URL="http://localhost:8000"),
    ),
    # the issuer and its metadata
    ("issuer_unavailable", "error", "404", lambda p: p.website.clear()),
    ("issuer_unavailable", "error", "Check DPOP_ISSUER", lambda p: p.set(ISSUER=f"http://127.0.0.1:{free_port()}")),
    ("issuer_unavailable", "error", "DPOP_JWKS_URI", lambda p: p.set(JWKS_URI=f"{p.website.url}/nothing")),
    ("issuer_mismatch", "error", "https://other.example", lambda p: p.publish(issuer="https://other.example")),
    ("issuer_mismatch", "error", "Only the slash at the end differs", lambda p: p.set(ISSUER=f"{p.website.url}/")),
    ("issuer_mismatch", "error", "names no issuer", lambda p: p.publish(issuer=None)),
    ("issuer_without_keys", "error", "DPOP_JWKS_URI", lambda p: p.publish(jwks_uri=None)),
    ("dpop_not_announced", "warning", "cnf.jkt", lambda p: p.publish(dpop_signing_alg_values_supported=None)),
    ("dpop_algorithms_differ", "error", "RS512", lambda p: p.publish(dpop_signing_alg_values_supported=["RS512"])),
    # its keys
    ("issuer_keys_unusable", "error", "None of the issuer's 0 keys", lambda p: p.keys()),
    ("issuer_key_unusable", "warning", '"other" can\'t be used: its alg is', lambda p: _another(p, alg="RS512")),
    ("issuer_key_unusable", "warning", '"other" can\'t be used: its use', lambda p: _another(p, use="tls")),
    ("issuer_key_unusable", "warning", "key_ops", lambda p: _another(p, key_ops=1)),
    ("issuer_key_unusable", "warning", "keys like it have ES256", lambda p: _another(p, alg="RS256")),
    ("issuer_key_unusable", "warning", "oct", lambda p: _another(p, kty="oct", crv=None)),
    ("issuer_key_unusable", "warning", "isn't acceptable", lambda p: _another(p, x="AA")),
    # its tokens
    ("token_type_by_default", "warning", "Use at+jwt", lambda p: p.publish("/realms/shop")),
    (
        "token_type_not_accepted",
        "error",
        "Set DPOP_TOKEN_TYPES=at+jwt,none.",
        lambda p: p.publish(keys="/oauth2/default/v1/keys"),
    ),
    (
        "issuer_without_dpop",
        "error",
        "/oauth2/default",
        lambda p: p.publish(keys="/oauth2/v1/keys"),
    ),
    # introspection
    ("setting_missing", "error", "_CLIENT_SECRET", lambda p: p.introspect() or p.set(INTROSPECTION_CLIENT_SECRET="")),
    ("introspection_credentials", "error", "Correct DPOP_", lambda p: p.introspect(401, error="invalid_client")),
    ("introspection_not_allowed", "error", "Allow this client", lambda p: p.introspect(403, error="hunter2")),
    (
        "introspection_endpoint_unknown",
        "error",
        "Set DPOP_INTROSPECTION_ENDPOINT",
        lambda p: p.introspect() or p.publish(),
    ),
    (
        "introspection_unavailable",
        "error",
        "DPOP_INTROSPECTION_ENDPOINT",
        lambda p: p.introspect() or p.set(INTROSPECTION_ENDPOINT=f"http://127.0.0.1:{free_port()}/introspect"),
    ),
    ("introspection_without_active", "error", "RFC 7662", lambda p: p.introspect(scope="hunter2")),
    ("introspection_without_active", "error", "true or false", lambda p: p.introspect(active="hunter2")),
    ("introspection_accepts_anything", "error", "RFC 7662", lambda p: p.introspect(active=True)),
    # the store
    ("store_unavailable", "error", "DPOP_STORE", lambda p: p.set(STORE=f"redis://127.0.0.1:{free_port()}")),
    (
        "store_credentials",
        "error",
        "user name and password",
        lambda p: p.set(STORE=f"redis://app:hunter3@127.0.0.1:{p.server.port}"),
    ),
    ("store_acl", "error", "SET", lambda p: _limited_user(p, "+info")),
    ("fence_off", "warning", "Add +info", lambda p: _limited_user(p, "+set")),
    ("store_evicts", "warning", "Set maxmemory-policy noeviction", _evicting),
    (
        "store_read_only",
        "error",
        "master",
        lambda p: p.redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port())),
    ),
]


@pytest.mark.parametrize(
    ("name", "verdict", "said", "spoil"),
    [pytest.param(*mistake, id=f"{mistake[0]}-{mistake[2]}") for mistake in MISTAKES],
)
async def test_a_mistake_is_found_and_named(planted, name, verdict, said, spoil):
    spoil(planted)
    report = await planted.report()
    found = [finding for finding in report.findings if finding.name == name]
    assert [finding.verdict for finding in found] == [verdict], report.findings
    assert said in f"{found[0].what} {found[0].change}"
    assert all(bool(finding.change) == (finding.verdict != "ok") for finding in report.findings)
    assert report.exit_code == (verdict == "error")
    assert "hunter2" not in repr(report)


@pytest.mark.parametrize(
    ("environment", "missing", "invalid"),
    [
        pytest.param({}, ["DPOP_ISSUER", "DPOP_AUDIENCE"], [], id="nothing-is-set"),
        pytest.param(
            {"DPOP_INTROSPECTION_ENDPOINT": "https://id.example.com/introspect"},
            ["DPOP_ISSUER", "DPOP_AUDIENCE", "DPOP_INTROSPECTION_CLIENT_ID", "DPOP_INTROSPECTION_CLIENT_SECRET"],
            [],
            id="introspection-without-credentials",
        ),
        pytest.param(
            {"DPOP_ISSUER": "ftp://id", "DPOP_STORE": "http://x", "DPOP_MODE": "any", "DPOP_NONCE_PERIOD": "often"},
            ["DPOP_AUDIENCE"],
            ["DPOP_ISSUER", "DPOP_STORE", "DPOP_NONCE_PERIOD", "DPOP_MODE"],
            id="some-are-wrong",
        ),
    ],
)
async def test_all_that_is_missing_or_invalid_is_found_at_once(environment, missing, invalid):
    report = await examine(environment)
    named = {"setting_missing": set(), "setting_invalid": set()}
    for finding in report.findings:
        named[finding.name].add(finding.what.split(" ")[0].rstrip(":"))
    assert (named["setting_missing"], named["setting_invalid"]) == (set(missing), set(invalid))
    assert len(report.findings) == len(missing) + len(invalid)


@pytest.mark.parametrize(
    ("ahead", "verdicts"),
    [
        pytest.param(3.0, {"clock_of_issuer": "ok", "clock_of_store": "ok"}, id="three-seconds"),
        pytest.param(8.0, {"clock_of_store_differs": "warning"}, id="eight-seconds"),
        pytest.param(
            -30.0, {"clock_of_issuer_differs": "warning", "clock_of_store_differs": "error"}, id="thirty-behind"
        ),
        pytest.param(300.0, {"clock_of_issuer_differs": "error", "clock_of_store_differs": "error"}, id="minutes"),
    ],
)
async def test_clocks_that_differ_are_found(planted, ahead, verdicts):
    report = await planted.report(ahead)
    found = {finding.name: finding.verdict for finding in report.findings if finding.subject == "clock"}
    assert verdicts.items() <= found.items()
