"""What is imported, exported and numbered."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from types import ModuleType

import pytest

import dpop_asgi
from tests.support.processes import ROOT

EXTRAS = ("fastapi", "rich", "typer", "uvicorn", "websockets")


def test_the_public_names_are_sorted():
    assert dpop_asgi.__all__ == sorted(dpop_asgi.__all__)


def test_no_public_name_is_duplicated():
    assert len(set(dpop_asgi.__all__)) == len(dpop_asgi.__all__)


@pytest.mark.parametrize("name", dpop_asgi.__all__)
def test_every_public_name_can_be_imported_and_says_what_it_is(name):
    value = getattr(dpop_asgi, name)
    assert value.__doc__ or not isinstance(value, type)


def test_every_name_that_is_imported_into_the_package_is_public():
    names = {
        name
        for name, value in vars(dpop_asgi).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert names == set(dpop_asgi.__all__)


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


@pytest.mark.parametrize("module", ["dpop_asgi", "dpop_asgi.settings", "dpop_asgi.client", "dpop_asgi.testing"])
def test_what_only_extras_bring_is_not_imported(module):
    assert {name.partition(".")[0] for name in _imported_by(f"import {module}")} & set(EXTRAS) == set()


def test_a_server_does_not_import_the_client():
    imported = _imported_by("import dpop_asgi.settings")
    assert "dpop_asgi.authenticator" in imported
    assert [name for name in imported if name.startswith("dpop_asgi.client")] == []


def test_the_package_is_marked_as_typed():
    assert (ROOT / "dpop_asgi" / "py.typed").exists()
