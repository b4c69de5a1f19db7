"""The README says what is so: its commands, its code, its tables."""

import inspect
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, NoncePolicy, ProofPolicy, Reason
from dpop_asgi.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_are_the_demo_and_the_tests():
    demo, tests, *_ = _blocks("sh")
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith(".venv/bin/dpop-asgi demo")
    assert tests == "python3 -m tests\n"


def test_the_continuous_integration_runs_the_test_command():
    assert "-m tests" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", [pytest.param(0, id="FastAPI"), pytest.param(1, id="Starlette"), pytest.param(2, id="own verifier")]
)
def test_the_code_runs(block):
    exec(compile(_blocks("python")[block], "README.md", "exec"), {})


@pytest.mark.parametrize("block", [pytest.param(0, id="FastAPI"), pytest.param(1, id="Starlette")])
def test_the_quick_start_protects_its_route(block, redis_server):
    names = {}
    source = _blocks("python")[block].replace("redis://localhost:6379/0", redis_server.url)
    exec(compile(source, "README.md", "exec"), names)
    with TestClient(names["app"], base_url="https://api.example.com") as http:
        answer = http.get("/orders")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("DPoP ")
    assert answer.headers["dpop-nonce"]


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason.value) for reason in Reason])
def test_every_reason_is_explained(reason):
    assert f"`{reason.value}`" in README


@pytest.mark.parametrize("variable", [pytest.param(name, id=name) for name in sorted(set(VARIABLES.values()))])
def test_every_variable_is_explained(variable):
    assert f"`{variable}`" in README


@pytest.mark.parametrize(
    "configured",
    [
        pytest.param(kind, id=kind.__name__)
        for kind in (Authenticator, DPoPMiddleware, JWTVerifier, NoncePolicy, ProofPolicy)
    ],
)
def test_every_option_is_explained(configured):
    options = inspect.signature(configured).parameters.keys() - {"app"}
    assert [option for option in options if f"`{option}`" not in README] == []


def test_the_map_shows_every_module():
    modules = {path.name for path in (ROOT / "dpop_asgi").rglob("*.py")} - {"__init__.py", "__main__.py"}
    shown = README.partition("## Map of the code")[2]
    in_cli = {path.name for path in (ROOT / "dpop_asgi" / "cli").glob("*.py")}
    assert sorted(name for name in modules - in_cli if name not in shown) == []


def _failures():
    """The first cell of each row of the table of failures, as the name of a test."""
    section = README.split("\n## When something fails\n")[1].split("\n## ")[0].split("\n### ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")]
    return ["test_" + re.sub(r"\W+", "_", row.lower()) for row in rows[2:]]


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in _failures()])
def test_every_failure_that_is_promised_about_is_a_test(name):
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(f"def {name}(" in source for source in sources)
