"""What is imported, exported and numbered, and what the extras bring."""

import functools
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, version
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dpop_asgi
from tests.support.processes import ROOT

# What needs each extra. httpx2 is there without one, which is for who only calls APIs to rely on.
NEEDING = {
    "cli": "dpop_asgi.cli.app",
    "client": "dpop_asgi.client",
    "fastapi": "dpop_asgi.fastapi",
    "mcp": "dpop_asgi.mcp",
    "opentelemetry": "dpop_asgi.opentelemetry",
}
OLD_FASTAPI = "import fastapi.routing; del fastapi.routing.iter_route_contexts; import dpop_asgi.fastapi"


def test_the_public_names_are_sorted_and_all_that_is_imported_and_each_says_what_it_is():
    imported = {name for name, value in vars(dpop_asgi).items() if not isinstance(value, ModuleType)}
    public = {name for name in imported if not name.startswith("_")} | set(dpop_asgi._MODULES)
    assert dpop_asgi.__all__ == sorted(public)
    assert set(dir(dpop_asgi)) >= public
    values = {name: getattr(dpop_asgi, name) for name in public}
    assert [name for name, value in values.items() if isinstance(value, type) and not value.__doc__] == []
    with pytest.raises(AttributeError, match="has no attribute 'RedisStor'"):
        dpop_asgi.RedisStor  # noqa: B018


def test_the_version_is_the_newest_of_the_changelog_or_not_yet_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", project["version"]}
    assert [heading for heading in headings if heading != "Unreleased"][:1] in ([], [project["version"]])
    assert version("dpop-asgi") == project["version"]


def test_the_changelogs_sections_have_their_names_and_order():
    order = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]
    for release in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        sections = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert sections == sorted(sections, key=order.index)


def _imported_by(statement):
    program = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


# What importing takes longest, and what only extras bring.
HTTPX2, REDIS = {"httpx2", "httpcore2"}, {"redis", "hiredis", "opentelemetry"}
HEAVY = {*HTTPX2, *REDIS, "fastapi", "mcp", "rich", "typer", "uvicorn", "websockets", "dpop_asgi.client"}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        pytest.param("import dpop_asgi", set(), id="the-package"),
        pytest.param(
            "from dpop_asgi import Authenticator, DPoPMiddleware, MemoryStore", set(), id="what-needs-neither"
        ),
        pytest.param("import dpop_asgi.starlette, dpop_asgi.asgi.token_endpoint", set(), id="adapters"),
        pytest.param("from dpop_asgi import JWTVerifier", HTTPX2, id="a-verifier-that-fetches"),
        pytest.param("from dpop_asgi import RedisStore", REDIS, id="redis"),
        pytest.param("import dpop_asgi.settings", HTTPX2 | REDIS, id="settings"),
        pytest.param("import dpop_asgi.client", {*HTTPX2, "dpop_asgi.client"}, id="client"),
        pytest.param("import dpop_asgi.testing", {*HTTPX2, "dpop_asgi.client"}, id="testing"),
    ],
)
def test_what_is_heavy_or_an_extras_is_imported_when_it_is_used(statement, heavy):
    """N25: they are two thirds of the time and a third of the memory. redis-py imports OpenTelemetry if it is there."""
    imported = _imported_by(statement)
    assert "dpop_asgi" in imported
    assert imported & HEAVY <= heavy


# Extras


def _brought_by(*extras):
    """The distributions that pip installs with these extras of ours."""
    found, left = set(), [("dpop-asgi", frozenset(["", *extras]))]
    while left:
        found.add(asked := left.pop())
        for requirement in map(Requirement, distribution(asked[0]).requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in asked[1]):
                needed = canonicalize_name(requirement.name), frozenset(["", *requirement.extras])
                left += {needed} - found
    return {name for name, _ in found}


_distributions_of_packages = functools.cache(packages_distributions)


def _run_with(extras, statement):
    """With nothing to import but what the package and these extras bring."""
    brought = _brought_by(*extras)
    absent = [name for name, of in _distributions_of_packages().items() if not {*map(canonicalize_name, of)} & brought]
    program = f"import sys; sys.modules.update(dict.fromkeys({absent})); {statement}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize(("extra", "module"), NEEDING.items(), ids=NEEDING)
def test_an_extra_brings_all_that_its_module_imports(extra, module):
    assert _run_with([extra], f"import {module}").stderr == ""


def test_without_any_extra_everything_else_can_be_imported():
    modules = [module.name for module in pkgutil.walk_packages(dpop_asgi.__path__, "dpop_asgi.")]
    needing = (*NEEDING.values(), "dpop_asgi.cli", "dpop_asgi.testing.pytest")
    others = [name for name in modules if not name.startswith(needing) or name.startswith(NEEDING["client"])]
    assert _run_with([], f"import dpop_asgi, {', '.join(others)}").stderr == ""


@pytest.mark.parametrize(
    ("extra", "there", "statement"),
    [
        pytest.param("fastapi", [], "import dpop_asgi.fastapi", id="fastapi"),
        pytest.param("fastapi", ["fastapi"], OLD_FASTAPI, id="an-old-fastapi"),
        pytest.param("mcp", [], "import dpop_asgi.mcp", id="mcp"),
        pytest.param("opentelemetry", [], "import dpop_asgi.opentelemetry", id="opentelemetry"),
        pytest.param("cli", [], "from dpop_asgi.cli import main; main()", id="cli"),
    ],
)
def test_without_its_extra_a_module_says_what_to_install(extra, there, statement):
    done = _run_with(there, statement)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"needs the '{extra}' extra: pip install 'dpop-asgi[{extra}]'")


def test_all_is_all_extras_that_users_need():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["all"] == [f"dpop-asgi[{','.join(sorted(NEEDING))}]"]
    assert extras.keys() == {*NEEDING, "all", "bench", "dev", "tests"}
