import httpx2
import pytest

from dpop_asgi.cli.demo.issuer import IssuerServer
from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer, find_example
from tests.support.processes import ROOT


def settings(issuer):
    return {"DPOP_ISSUER": issuer.url, "DPOP_AUDIENCE": issuer.audience}


def test_in_a_checkout_the_example_is_found_among_the_examples():
    assert find_example(ROOT) == ("resource_server", ROOT / "examples")


def test_in_an_installed_package_the_example_is_found_inside(tmp_path):
    package = tmp_path / "dpop_asgi" / "cli" / "demo"
    package.mkdir(parents=True)
    (package / "resource_server.py").touch()
    assert find_example(tmp_path) == ("dpop_asgi.cli.demo.resource_server", tmp_path)


def test_an_installation_without_the_example_gets_the_folders_that_were_searched(tmp_path):
    with pytest.raises(CannotRun) as told:
        find_example(tmp_path)
    assert str(tmp_path / "examples") in str(told.value)
    assert "reinstall dpop-asgi" in str(told.value)


def test_a_server_that_does_not_start_leaves_its_last_words():
    with pytest.raises(CannotRun, match="DPOP_ISSUER: not set"), ExampleServer({}):
        pytest.fail("it runs")


def test_the_issuer_publishes_its_keys_until_the_end():
    with IssuerServer("https://api.example.com") as server:
        assert httpx2.get(f"{server.issuer.url}/jwks").json() == server.issuer.jwks
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{server.issuer.url}/jwks")
