"""Which URI a proof must be for: the path as it was sent, and never a host that the request made up."""

import pytest

from tests.conformance.judge import assert_answer, is_servers_own


@pytest.fixture
def local(http, make_peer):
    """A client of a server that was told no public URL, and serves hosts of this machine only."""
    return make_peer(http, 0).ready()


@pytest.mark.requirement("R-4.3-14", "R-4.3-11", "R-4.3-10")
@pytest.mark.parametrize(
    ("target", "htu", "code"),
    [
        ("/files/a%2Fb", "/files/a%2Fb", "OK"),
        ("/files/a%2Fb", "/files/a/b", "IDP"),
        ("/files/%7Eann", "/files/~ann", "OK"),
        ("/files/%C3%A9", "/files/%c3%a9", "OK"),
        ("/files/%C3%A9", "/files/\xe9", "IDP"),
        ("/files/a//b", "/files/a//b", "OK"),
        ("/files/a//b", "/files/a/b", "IDP"),
        ("/files/x/../a", "/files/a", "IRQ"),
        ("/files/%2e%2E/a", "/a", "IRQ"),
        ("/files/a?x=/b", "/files/a", "OK"),
        ("/files/a?", "/files/a#b", "OK"),
        ("/files/a%3Fx", "/files/a?x", "IDP"),
    ],
)
def test_the_path_counts_as_it_was_sent(published, target, htu, code):
    answer = published.send(published.fields(uri=published.origin + htu), target=target)
    assert_answer(answer, code)


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("host", ["evil.example", "", "a/b?#@c", "\xe9"])
def test_with_a_public_url_no_host_makes_a_difference(published, host):
    assert_answer(published.send(published.fields(), host=host), "OK")
    evil = published.fields(uri="https://evil.example/resource")
    assert_answer(published.send(evil, host=host), "IDP")


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("host", ["evil.example", "localhost@evil.example", "a/b?#@c", "local host", "caf\xe9", ""])
def test_without_a_public_url_only_hosts_of_this_machine_are_served(local, host):
    uri = f"http://{host}/resource"
    answer = local.send(local.fields(uri=uri), host=host)
    if not is_servers_own(answer):
        assert_answer(answer, "IRQ")
    assert_answer(local.send(local.fields(uri="HTTP://LOCALHOST:80/resource"), host="localhost"), "OK")


@pytest.mark.requirement("R-4.3-13")
def test_two_hosts_are_rejected_by_whoever_sees_them(local):
    fields = [("Host", "evil.example"), *local.fields()]
    answer = local.send(fields)
    assert is_servers_own(answer) == (local.http == "h11")
    if local.http == "httptools":
        assert_answer(answer, "IRQ")


@pytest.mark.requirement("R-4.3-12", "R-4.3-14")
def test_a_mounted_app_is_called_by_its_whole_path(local):
    for path, htu, code in [("/v2/resource", "/v2/resource", "OK"), ("/v2/resource", "/resource", "IDP")]:
        assert_answer(local.send(local.fields(uri=local.origin + htu), target=path), code)


def test_a_target_in_absolute_form_counts_like_its_path(local):
    # h11 hands the whole URL to the router, which then knows no such path: the proof was good all the same.
    found = {"httptools": 200, "h11": 404}[local.http]
    assert local.send(local.fields(), target=local.url).status == found
    assert_answer(local.send(local.fields(uri=f"{local.origin}/v2/resource"), target=local.url), "IDP")
    assert_answer(local.send([], target=f"{local.origin}/files/a?x=1"), "CHL")


@pytest.mark.requirement("R-4.3-13")
def test_a_target_in_absolute_form_names_no_other_host(local):
    evil = "http://evil.example/resource"
    answer = local.send(local.fields(uri=evil), target=evil)
    # httptools drops the host of the target, so there only the Host field is left to be compared.
    assert_answer(answer, {"httptools": "IDP", "h11": "IRQ"}[local.http])


@pytest.mark.parametrize(
    "target", ["/public/../resource", "/public%2f..%2fresource", "/public/resource", "//public/resource", "/public%00"]
)
def test_an_open_path_opens_nothing_else(local, target):
    assert_answer(local.send([], target=target), "CHL")


def test_open_paths_are_open_and_say_nothing_of_dpop(local):
    for target in ("/public", "/healthz", "/public?x=1"):
        answer = local.send([("DPoP", "garbage"), ("Authorization", "Basic x")], target=target)
        assert (answer.status, answer.all("WWW-Authenticate")) == (200, [])


@pytest.mark.requirement("R-6750-01", "R-6750-02", "R-FAPI-04", "R-MCP-10")
def test_a_token_in_the_query_or_in_a_form_counts_for_nothing(local):
    said = f"access_token={local.token}"
    assert_answer(local.send([("DPoP", local.proof())], target=f"/resource?{said}"), "CHL")
    local.method = "POST"
    form = ("Content-Type", "application/x-www-form-urlencoded")
    answer = local.send([("DPoP", local.proof()), form], target=f"/resource?{said}", body=said.encode())
    assert_answer(answer, "CHL")


@pytest.mark.requirement("R-4.3-08")
def test_methods_are_compared_as_they_are(local):
    assert local.send(local.fields("QUERY"), method="QUERY").status == 405
    assert_answer(local.send(local.fields("GET"), method="QUERY"), "IDP")
    assert_answer(local.send(local.fields("GET"), method="HEAD"), "IDP")
    assert_answer(local.send(local.fields("HEAD"), method="HEAD"), "OK")
