"""README and docs say what is so: their commands, code, links, tables and maps."""

import inspect
import logging
import os
import re
import tomllib
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dpop_asgi import (
    Authenticator,
    DPoPMiddleware,
    IntrospectionVerifier,
    JWTVerifier,
    MemoryStore,
    NoncePolicy,
    ProofPolicy,
    ProofVerifier,
    Reason,
    RedisStore,
    TokenEndpointDPoP,
    TokensByShape,
    TrustedIssuer,
    replay,
)
from dpop_asgi.core import credentials, proof
from dpop_asgi.settings import VARIABLES
from dpop_asgi.tokens import jwt
from tests.support.faults import FAULTS
from tests.support.processes import PACKAGE, ROOT

SOURCES = {".py", ".html", ".css", ".js"}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("", "docs", ".github", "tests")
    for path in (ROOT / folder).glob("*.md")
}
README, SECURITY = PAGES["README.md"], PAGES["docs/security.md"]
# What a user reads: README leads to each of these pages, and each of them back to README.
LED_TO = sorted(PAGES.keys() - {"README.md", "CHANGELOG.md", "tests/README.md"})


def _blocks(page, language):
    """Code in this language, each block with the number of its first line."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    return [(PAGES[page].count("\n", 0, match.start()) + 2, match[1]) for match in found]


def _prose(page):
    return re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)


def _section(page, heading):
    """What is below a heading, down to the next of the same level or above."""
    level = heading.partition(" ")[0]
    below = f"\n{PAGES[page]}".partition(f"\n{heading}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


# Commands


def test_the_first_two_commands_are_the_demo_and_the_tests():
    (_, demo), (_, tests), *_ = _blocks("README.md", "sh")
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith(".venv/bin/dpop-asgi demo")
    assert tests == "python3 -m tests\n"


def test_the_continuous_integration_runs_the_test_command():
    assert "-m tests" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert README.count("\n") <= 160


# Code

CODE = [
    pytest.param(page, number, source, id=f"{page}:{number}")
    for page in PAGES
    for number, source in _blocks(page, "python")
]
# What begins with its imports is a program; anything else is an excerpt.
# The code on these pages belongs together.
TESTED_PAGE, MIGRATION = "docs/testing.md", "docs/migration.md"
PROGRAMS = [
    block
    for block in CODE
    if re.match(r"(from|import) ", block.values[2]) and block.values[0] not in (TESTED_PAGE, MIGRATION)
]
PROTECTED = [block for block in PROGRAMS if "authenticator=" in block.values[2]]


@pytest.fixture
def run(monkeypatch, redis_server):
    """Runs a program, and gives its names. What programs change outside themselves is undone."""
    for name in ("DPOP_ISSUER", "DPOP_AUDIENCE"):
        monkeypatch.setenv(name, "https://example.com")
    monkeypatch.setattr(logging.getLogger("dpop_asgi"), "level", logging.NOTSET)

    def run(page, number, source):
        names = {}
        source = source.replace("redis://localhost:6379/0", redis_server.url)
        exec(compile("\n" * (number - 1) + source, str(ROOT / page), "exec"), names)
        return names

    return run


def test_there_is_code_to_try():
    assert len(PROGRAMS) > len(PROTECTED) > 3


@pytest.mark.parametrize(("page", "number", "source"), CODE)
def test_all_code_is_python(page, number, source):
    compile(source, f"{page}:{number}", "exec")


@pytest.mark.parametrize(("page", "number", "source"), PROGRAMS)
def test_programs_run_and_so_do_the_tests_in_them(run, page, number, source):
    names = run(page, number, source)
    for name, value in list(names.items()):
        if name.startswith("test_"):
            value()


def test_the_tests_on_the_page_about_testing_pass(pytester):
    app, plugins, *tests = (source for _, source in _blocks(TESTED_PAGE, "python"))
    pytester.makepyfile(shop=app, conftest=plugins, test_shop="\n\n".join(tests))
    pytester.makepyprojecttoml('[tool.pytest]\nfilterwarnings = ["error"]\nanyio_mode = "auto"')
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed="\n".join(tests).count("def test_"))


def test_the_migration_runs_step_by_step(run, monkeypatch):
    for attribute, value in (("handlers", []), ("propagate", True), ("level", logging.NOTSET)):
        monkeypatch.setattr(logging.getLogger("dpop_asgi.decisions"), attribute, value)
    names = run(MIGRATION, 1, "\n".join(source for _, source in _blocks(MIGRATION, "python")))
    names["test_bearer_is_still_accepted"]()


@pytest.mark.parametrize(("page", "number", "source"), PROTECTED)
def test_programs_protect_their_routes(run, page, number, source):
    with TestClient(run(page, number, source)["app"], base_url="http://localhost") as http:
        response = http.get("/orders")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("DPoP ")
    assert response.headers["dpop-nonce"]


# Links


def _anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]


def _targets(page):
    """Where the links of a page lead to: pairs of a path from the root and an anchor."""
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield os.path.normpath(Path(page).parent / path) if path else page, anchor


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_anchor_resolves(page):
    broken = [
        f"{path}#{anchor}"
        for path, anchor in _targets(page)
        if not (ROOT / path).exists() or (anchor and anchor not in _anchors(path))
    ]
    assert broken == []


@pytest.mark.parametrize("page", LED_TO)
def test_the_readme_leads_to_every_page_and_back(page):
    assert page in dict(_targets("README.md"))
    assert "README.md" in dict(_targets(page))


@pytest.mark.parametrize("page", LED_TO)
def test_every_page_begins_with_the_question_that_it_answers(page):
    assert re.match(r"# .+\n\n\*[^*]+\?\*\n", PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_exists(page):
    named = set(re.findall(r"`(?:dpop_asgi/)?([a-z_]+/(?:[a-z_]+/)*(?:[a-z_]+\.py)?)`", PAGES[page]))
    roots = (PACKAGE, PACKAGE.parent, ROOT, (ROOT / page).parent)
    assert [path for path in named if not any((root / path).exists() for root in roots)] == []


# Reasons


def test_every_reason_has_its_anchor_and_no_other_has():
    headings = re.findall(r"^### (.+)$", PAGES["docs/errors.md"], re.MULTILINE)
    assert sorted(headings) == sorted(reason.value for reason in Reason)


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason.value) for reason in Reason])
def test_every_reason_has_a_response_and_something_to_do(reason):
    section = _section("docs/errors.md", f"### {reason.value}")
    assert section.strip().partition("\n")[0]
    assert "\n* **Response:** " in section
    assert "\n* **What to do:** " in section


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_the_response_to_a_fault_is_the_one_in_the_docs(fault):
    section = _section("docs/errors.md", f"### {fault.reason.value}")
    assert re.search(r"\* \*\*Response:\*\* \d{3} (?:without a code|`(\w+)`)", section)[1] == fault.kind.code


# Security


def test_a_vulnerability_can_be_reported_without_an_address():
    assert "Report a vulnerability" in PAGES[".github/SECURITY.md"]
    assert "@" not in PAGES[".github/SECURITY.md"]


@pytest.mark.parametrize("heading", ["What is checked, in this order", "What each check stops"])
def test_each_numbered_check_is_explained(heading):
    rows = re.findall(r"^\| (\d) \|", _section("docs/security.md", f"## {heading}"), re.MULTILINE)
    assert rows == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason.value) for reason in Reason])
def test_each_kind_of_rejection_is_named(reason):
    assert f"`{reason.value.partition('_')[0]}_*`" in SECURITY


def test_the_numbers_are_those_of_the_code():
    policy = NoncePolicy()
    assert f"token of at most {credentials.MAX_AUTHORIZATION_BYTES // 1024} KB" in SECURITY
    assert f"`DPoP` of at most {ProofPolicy().max_bytes // 1024} KB" in SECURITY
    assert f"{(policy.grace + 1.2) * policy.period:g} s by default" in SECURITY
    assert f"header ({proof.CACHED_HEADERS})" in SECURITY
    assert f"the token ({jwt.CACHED_TOKENS})" in SECURITY
    assert (replay.MARGIN_SECONDS, "ten seconds" in SECURITY) == (10.0, True)
    assert (replay.VALUE_BYTES, "six random bytes" in SECURITY) == (6, True)


# Options


@pytest.mark.parametrize("variable", sorted(set(VARIABLES.values())))
def test_every_variable_is_explained(variable):
    assert f"\n| `{variable}` |" in _section("docs/configuration.md", "## Environment variables")


def test_every_variable_that_is_explained_exists():
    assert set(re.findall(r"DPOP_[A-Z_]+", PAGES["docs/configuration.md"])) == set(VARIABLES.values())


@pytest.mark.parametrize(
    "heading",
    [
        pytest.param(("##", Authenticator), id="Authenticator"),
        pytest.param(("###", ProofPolicy), id="ProofPolicy"),
        pytest.param(("###", NoncePolicy), id="NoncePolicy"),
        pytest.param(("##", JWTVerifier), id="JWTVerifier"),
        pytest.param(("###", TrustedIssuer), id="TrustedIssuer"),
        pytest.param(("##", IntrospectionVerifier), id="IntrospectionVerifier"),
        pytest.param(("##", TokensByShape), id="TokensByShape"),
        pytest.param(("##", DPoPMiddleware), id="DPoPMiddleware"),
        pytest.param(("##", ProofVerifier), id="ProofVerifier"),
        pytest.param(("##", TokenEndpointDPoP), id="TokenEndpointDPoP"),
        pytest.param(("##", RedisStore), id="RedisStore"),
        pytest.param(("##", MemoryStore), id="MemoryStore"),
    ],
)
def test_every_option_is_explained_with_its_default(heading):
    level, configured = heading
    section = _section("docs/configuration.md", f"{level} {configured.__name__}").split("\n### ")[0]
    explained = dict(re.findall(r"^\* `(\w+)` - (.+(?:\n  .+)*)", section, re.MULTILINE))
    options = {name: option for name, option in inspect.signature(configured).parameters.items() if name != "app"}
    assert list(explained) == list(options)
    for name, option in options.items():
        if option.default is option.empty:
            assert "Required." in explained[name]
        elif type(option.default) in {str, int, float, bool}:
            shown = f'"{option.default}"' if isinstance(option.default, str) else f"{option.default}".removesuffix(".0")
            assert f"`{shown}`" in explained[name]


# Tables and maps


def _mapped():
    """The files and folders of the map of the code, from its indentation."""
    block = _section("docs/architecture.md", "## Map of the code").partition("```text\n")[2].partition("```")[0]
    folders = []
    for line in block.splitlines()[1:]:
        branch, name = re.match(r"([│├└─ ]*)(\S+)", line).groups()
        folders[len(branch) // 4 - 1 :] = [name]
        yield "".join(folders)


def test_the_map_shows_every_module_and_nothing_else():
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.*") if path.suffix in SOURCES}
    modules -= {path for path in modules if path.endswith(("/__init__.py", "__main__.py", "/resource_server.py"))}
    folders = {f"{parent}/" for path in modules for parent in map(str, Path(path).parents) if parent != "."}
    mapped = set(_mapped())
    assert {"missing": (modules | folders) - mapped, "gone": mapped - modules - folders} == {
        "missing": set(),
        "gone": set(),
    }


def test_the_layers_are_those_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    layers = [{name.strip(" ()") for name in layer.split("|")} for layer in contract["layers"]]
    there = [
        {name for name in layer if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()} for layer in layers
    ]
    (shown,) = re.findall(r"^```text\n(cli .*?)^```", PAGES["docs/architecture.md"], re.MULTILINE | re.DOTALL)
    assert [set(layer.split(" · ")) for layer in re.split(r"\s+→ ", shown.strip())] == there


def _failures():
    """The first cell of each row of the table of failures, as the name of a test."""
    section = _section("docs/redis.md", "## When something fails")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")]
    return ["test_" + re.sub(r"\W+", "_", row.lower()) for row in rows[2:]]


@pytest.mark.parametrize("name", _failures())
def test_every_failure_in_the_table_has_a_test(name):
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(f"def {name}(" in source for source in sources)


def test_the_page_on_the_tests_names_every_folder_of_them():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("_")}
    table = "".join(line.split("|")[1] for line in PAGES["tests/README.md"].splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)/`", table)) == folders
