"""What the sdist and the wheel contain."""

import email
import sys
import tomllib
from zipfile import ZipFile

import pytest

import dpop_asgi
from tests.installed import build, oldest_versions
from tests.support.processes import PACKAGE, ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"), python=sys.executable)


@pytest.fixture(scope="module")
def sdist(built):
    """Names of files in it."""
    tree, _ = built
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def wheel(built):
    _, path = built
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _package():
    files = {path.relative_to(PACKAGE.parent): path for path in PACKAGE.rglob("*") if path.is_file()}
    sources = {str(name): path for name, path in files.items() if "__pycache__" not in name.parts}
    sources["dpop_asgi/cli/demo/resource_server.py"] = ROOT / "examples" / "resource_server.py"
    return {name: path.read_bytes() for name, path in sources.items()}


def test_the_wheel_made_from_the_sdist_is_the_package_with_the_demos_server_and_nothing_else(wheel):
    package = _package()
    assert {"dpop_asgi/py.typed", "dpop_asgi/docs_page/dpop.js", "dpop_asgi/docs_page/page.html"} < package.keys()
    assert {name: content for name, content in wheel.items() if ".dist-info/" not in name} == package


def test_the_wheel_says_what_pyproject_says(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (metadata,) = (
        email.message_from_string(wheel[name].decode()) for name in wheel if name.endswith(".dist-info/METADATA")
    )
    assert (metadata["Name"], metadata["Version"]) == (project["name"], project["version"])
    assert dpop_asgi.__version__ == project["version"]
    assert metadata["Requires-Python"] == project["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == project["optional-dependencies"].keys()
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert b"dpop-asgi = dpop_asgi.cli:main" in next(wheel[name] for name in wheel if name.endswith("entry_points.txt"))


def test_the_sdist_has_what_its_tests_need_and_nothing_that_was_made_here(sdist):
    named = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".ci/run", ".github/CONTRIBUTING.md"}
    assert named | {"docs/quickstart.md", "examples/spa/spa.js", "tests/e2e/clients/package.json"} <= sdist
    made = {"node_modules", "__pycache__", ".cache", ".venv", ".hypothesis"}
    assert [name for name in sdist if made & set(name.split("/"))] == []


def test_the_oldest_versions_are_the_lower_bounds_of_what_users_install():
    versions = oldest_versions()
    assert {"joserfc==1.7.2", "redis==8.1", "fastapi==0.145", "uvicorn==0.36"} <= set(versions)
    assert [version for version in versions if "pytest" in version or "[" in version or ">" in version] == []
