"""The issuer's keys are found by its metadata: RFC 8414, else OpenID Connect Discovery."""

import asyncio
import socket
from importlib.metadata import version

import pytest

from dpop_asgi import InvalidToken, IssuerUnavailable, JWTVerifier
from dpop_asgi.testing import Issuer
from tests.support.certificates import write_certificate
from tests.support.processes import AUDIENCE
from tests.support.website import Page, Website

RFC_8414 = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


def _publish(website, clock, path="", *, metadata):
    issuer = Issuer(website.url + path, audience=AUDIENCE, clock=clock)
    website.publish(issuer, metadata=metadata)
    return issuer, JWTVerifier(issuer=issuer.url, audience=AUDIENCE, clock=clock)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        pytest.param("", [RFC_8414], id="origin"),
        pytest.param("/tenant/a", [f"{RFC_8414}/tenant/a"], id="with-a-path"),
        pytest.param("/", [RFC_8414], id="with-a-slash"),
        pytest.param("/tenant/", [f"{RFC_8414}/tenant"], id="with-a-path-and-a-slash"),
        pytest.param("", [RFC_8414, OIDC], id="openid-origin"),
        pytest.param("/tenant/a", [f"{RFC_8414}/tenant/a", f"/tenant/a{OIDC}"], id="openid-with-a-path"),
        pytest.param("/tenant/", [f"{RFC_8414}/tenant", f"/tenant{OIDC}"], id="openid-with-a-path-and-a-slash"),
    ],
)
async def test_rfc_8414_metadata_is_asked_first_and_openid_discovery_if_there_is_none(
    website, clock, client, path, asked
):
    issuer, verify = _publish(website, clock, path, metadata=asked[-1])
    assert await verify(issuer.access_token(client))
    assert website.requests == [*asked, f"{path.rstrip('/')}/jwks"]


@pytest.fixture
def elsewhere(website, clock, monkeypatch):
    """An issuer whose name leads to the website, and is not one of this machine."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host, *rest, **options):
        return getaddrinfo("127.0.0.1" if host in {"keycloak", b"keycloak"} else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    issuer = Issuer(f"http://keycloak:{website.port}", audience=AUDIENCE, clock=clock)
    website.pages["/jwks"] = Page(issuer.jwks)
    return issuer, JWTVerifier(issuer=issuer.url, audience=AUDIENCE, insecure_http_hosts=["keycloak"], clock=clock)


async def test_a_host_that_was_opted_in_may_name_itself_for_its_keys(website, client, elsewhere):
    """X10"""
    issuer, verify = elsewhere
    website.pages[RFC_8414] = Page({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"})
    assert await verify(issuer.access_token(client))
    assert website.requests == [RFC_8414, "/jwks"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "other"])
async def test_an_issuer_elsewhere_may_not_name_plain_http_on_this_machine_or_another(website, client, elsewhere, host):
    """Z10"""
    issuer, verify = elsewhere
    website.pages[RFC_8414] = Page({"issuer": issuer.url, "jwks_uri": f"http://{host}:{website.port}/jwks"})
    with pytest.raises(IssuerUnavailable, match="jwks_uri: "):
        await verify(issuer.access_token(client))
    assert website.requests == [RFC_8414]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("option", ["issuer", "jwks_uri"])
async def test_a_proxy_of_the_environment_does_not_get_to_serve_keys(
    website, remote, client, clock, monkeypatch, option, variable
):
    """Z04"""
    forged = Issuer(remote.url, audience=AUDIENCE, clock=clock)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Website() as proxy:
        # As servers see the target that a proxy is asked for: with the origin, or without.
        for path, content in {"/jwks": forged.jwks, RFC_8414: forged.metadata}.items():
            proxy.pages[path] = proxy.pages[remote.url + path] = Page(content)
        monkeypatch.setenv(variable, proxy.url)
        given = {"jwks_uri": f"{remote.url}/jwks"} if option == "jwks_uri" else {}
        verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, clock=clock, **given)
        with pytest.raises(InvalidToken):
            await verify(forged.access_token(client))
        assert await verify(remote.access_token(client))
    assert proxy.requests == []
    assert "/jwks" in website.requests


async def test_openid_metadata_of_another_issuer_is_not_followed(website, clock, client):
    issuer, verify = _publish(website, clock, metadata=OIDC)
    website.pages[OIDC] = Page({**issuer.metadata, "issuer": f"{issuer.url}/"})
    with pytest.raises(IssuerUnavailable):
        await verify(issuer.access_token(client))
    assert "/jwks" not in website.requests


USELESS = [
    pytest.param({"issuer": "https://other.example"}, "has issuer 'https://other.example' instead of", id="another"),
    pytest.param({"issuer": None}, "has issuer None instead of", id="issuer-is-null"),
    pytest.param({"jwks_uri": None}, "has no jwks_uri", id="jwks-uri-is-null"),
    pytest.param({"issuer": "x" * 9000}, f"has issuer '{'x' * 200}' instead of", id="a-long-one"),
]


@pytest.mark.parametrize(("changes", "cause"), USELESS)
async def test_the_second_address_is_tried_if_the_first_is_of_no_use(
    website, remote, verify_remote, client, changes, cause
):
    """Y03"""
    website.pages[RFC_8414] = Page({**remote.metadata, **changes})
    website.pages[OIDC] = Page(remote.metadata)
    assert await verify_remote(remote.access_token(client))
    assert website.requests == [RFC_8414, OIDC, "/jwks"]


@pytest.mark.parametrize(("changes", "cause"), USELESS)
async def test_the_message_names_the_issuer_and_the_cause_at_both_addresses(
    website, remote, verify_remote, client, changes, cause
):
    """Y02, Y03, Y04: the second is compared in the same way."""
    website.pages[RFC_8414] = Page("go away", 403)
    website.pages[OIDC] = Page({**remote.metadata, **changes})
    with pytest.raises(IssuerUnavailable) as failed:
        await verify_remote(remote.access_token(client))
    first, second = str(failed.value).removeprefix(f"the keys of {remote.url} cannot be fetched: ").split("; ")
    assert first == f"{remote.url}{RFC_8414} responded with 403"
    assert second.startswith(f"{remote.url}{OIDC} {cause}")
    assert "/jwks" not in website.requests


async def test_requests_to_an_issuer_say_who_asks_and_for_what(website, remote, verify_remote, client):
    """X05, Y02: issuers with `application/jwk-set+json` only answer 406, and some firewalls 403 to HTTP libraries."""
    await verify_remote(remote.access_token(client))
    for fields in website.fields:
        assert fields["accept"] == "application/json, application/jwk-set+json"
        assert fields["user-agent"] == f"dpop-asgi/{version('dpop-asgi')}"


@pytest.mark.parametrize("path", [RFC_8414, "/jwks"])
async def test_a_byte_order_mark_is_passed_over(website, remote, verify_remote, client, path):
    """Y03"""
    website.pages[path] = Page(b"\xef\xbb\xbf" + website.pages[path].body)
    assert await verify_remote(remote.access_token(client))
    assert OIDC not in website.requests


@pytest.mark.requirement("R-8725-01")
async def test_no_address_in_a_tokens_header_is_ever_fetched(website, remote, verify_remote, client):
    evil = {"jku": f"{website.url}/evil", "x5u": f"{website.url}/evil", "jwk": remote.jwks["keys"][0]}
    assert await verify_remote(remote.access_token(client, header=evil))
    assert "/evil" not in website.requests


async def test_keys_behind_a_certificate_that_nobody_vouches_for_are_not_used(tmp_path, clock, client):
    with Website(write_certificate(tmp_path)) as website:
        issuer, verify = _publish(website, clock, metadata=RFC_8414)
        with pytest.raises(IssuerUnavailable, match="certificate"):
            await verify(issuer.access_token(client))
    assert website.requests == []


def test_several_event_loops_in_turn_share_one_verifier(website, remote, verify_remote, client):
    for _ in range(3):
        remote.rotate()
        website.publish(remote)
        asyncio.run(verify_remote(remote.access_token(client)))
        verify_remote._clock.advance(60.0)
    assert website.requests.count("/jwks") == 3


async def test_event_loops_of_several_threads_share_one_verifier(website, remote, verify_remote, client):
    website.pages["/jwks"].pause = 0.3
    tokens = [remote.access_token(client) for _ in range(3)]
    threads = (asyncio.to_thread(asyncio.run, verify_remote(token)) for token in tokens)
    assert [token.subject for token in await asyncio.gather(*threads)] == ["alice"] * 3
