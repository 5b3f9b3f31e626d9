"""Facts that several files repeat agree: version, address, lanes, ranges, the two READMEs."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from bootstrap import LANES
from support import ROOT
from support.repo_rules import tracked

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
ADDRESS: str = PROJECT["urls"]["Repository"]
OWNER, REPOSITORY = ADDRESS.removeprefix("https://github.com/").split("/")
INTEGRATION = ROOT / "custom_components" / "sms1680"
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-Hans.md"}
# The forms of a repository's address: the site, its raw files, badges, and the button for HACS.
MENTIONS = (
    re.compile(r"(?:github\.com|raw\.githubusercontent\.com)/(?P<owner>[\w.-]+)/(?P<repository>[\w.-]+)"),
    re.compile(r"img\.shields\.io/github/[\w/-]*?/(?P<owner>[\w.-]+)/(?P<repository>sms1680[\w.-]*)"),
    re.compile(r"[?&]owner=(?P<owner>[\w.-]+)&(?:amp;)?repository=(?P<repository>[\w.-]+)"),
)


def manifest() -> dict[str, object]:
    return json.loads((INTEGRATION / "manifest.json").read_text("utf-8"))


def mentions(text: str) -> set[str]:
    """The repositories with our name or our owner that a text names."""
    matches = [match for way in MENTIONS for match in way.finditer(text)]
    found = {(match["owner"], match["repository"].removesuffix(".git")) for match in matches}
    return {f"{owner}/{name}" for owner, name in found if owner == OWNER or name == REPOSITORY}


def test_manifest_has_the_version_of_the_project() -> None:
    assert manifest()["version"] == PROJECT["version"]


def test_manifest_links_to_the_repository() -> None:
    assert str(manifest()["documentation"]).startswith(ADDRESS)
    assert manifest()["issue_tracker"] == f"{ADDRESS}/issues"
    assert f"@{OWNER}" in list(manifest()["codeowners"])  # type: ignore[call-overload]


def test_every_mention_of_the_repository_has_its_address() -> None:
    astray = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked(ROOT)
        if path != Path(__file__)
        for name in mentions(path.read_text("utf-8"))
        if name != f"{OWNER}/{REPOSITORY}"
    }
    assert astray == set()


@pytest.mark.parametrize("word", ["账号", "帐户", "收件人", "违禁词", "用户名称"])
def test_chinese_texts_use_one_term(word: str) -> None:
    """账户, 接收人, 禁用词语 and 登录名称 in every text for people. Only the platform's own sentences differ."""
    quoted = ROOT / "custom_components/sms1680/client/cmpp/wire/results.py"
    astray = [
        str(path.relative_to(ROOT))
        for path in tracked(ROOT)
        if ROOT / "tests" not in path.parents and path != quoted and word in path.read_text("utf-8")
    ]
    assert astray == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{ADDRESS}/actions/workflows/ci.yml/badge.svg", f"{OWNER}/{REPOSITORY}"),
        ("https://github.com/somebody/sms1680.git", "somebody/sms1680"),
        ("https://img.shields.io/github/v/release/somebody/sms1680", "somebody/sms1680"),
        ("https://my.home-assistant.io/redirect/hacs_repository/?owner=me&repository=sms1680", "me/sms1680"),
        ("https://raw.githubusercontent.com/somebody/sms1680/main/x.png", "somebody/sms1680"),
    ],
)
def test_mention_is_recognised_in_every_form(text: str, found: str) -> None:
    assert mentions(text) == {found}


@pytest.mark.parametrize("name", ["a peer: https://github.com/caronc/apprise", "no address at all"])
def test_other_repositories_are_not_mentions(name: str) -> None:
    assert mentions(name) == set()


def headings(path: Path) -> list[int]:
    """The levels of a page's headings in order, without code blocks."""
    prose = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", prose, flags=re.MULTILINE)]


def code(path: Path) -> list[str]:
    """The first words of each block of code: a command is the same in every language."""
    return re.findall(r"^```(\w*)", path.read_text("utf-8"), flags=re.MULTILINE)


def test_readmes_have_the_same_chapters_and_examples() -> None:
    assert headings(READMES["en"]) == headings(READMES["zh"])
    assert code(READMES["en"]) == code(READMES["zh"])


@pytest.mark.parametrize("readme", READMES.values(), ids=READMES.keys())
def test_links_of_a_readme_into_the_tree_exist(readme: Path) -> None:
    linked = re.findall(r"(?:\]\(|src=\"|href=\")(?![a-z]+:|#)([^)\s\"#]+)", readme.read_text("utf-8"))
    assert linked
    assert [target for target in linked if not (readme.parent / target).exists()] == []


def test_oldest_lane_runs_the_lower_end_of_every_range() -> None:
    ranges = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    lower = dict(requirement.partition(",")[0].split(">=") for requirement in ranges)
    tested = dict(requirement.split("==") for requirement in GROUPS["oldest"])
    assert tested.keys() == lower.keys()
    assert {name: version for name, version in lower.items() if not f"{tested[name]}.".startswith(f"{version}.")} == {}


def test_hacs_requires_the_oldest_tested_home_assistant() -> None:
    assert json.loads((ROOT / "hacs.json").read_text("utf-8"))["homeassistant"] in {
        name.removeprefix("homeassistant==") for name in GROUPS["home-assistant-oldest"]
    }


def test_the_workflow_runs_every_lane_on_the_python_that_it_wants() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    runs = {run["lane"]: run["python"] for run in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]}
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    wanted = dict(re.findall(r'"([\w-]+)": Lane\(\s*"(\d+\.\d+)', noxfile))
    assert runs == wanted
    assert tuple(runs) == LANES


def test_every_folder_of_tests_belongs_to_a_lane() -> None:
    """A folder that no lane names would never run."""
    folders = {path.relative_to(ROOT).parent for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(map(Path, re.findall(r'"(tests/[\w/]+)"', (ROOT / "noxfile.py").read_text("utf-8"))))
    assert [folder for folder in folders if named.isdisjoint({folder, *folder.parents})] == []


def test_pre_commit_runs_the_pinned_versions() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    pins = dict(name.split("==") for name in GROUPS["lint"] if isinstance(name, str))
    revisions = {hook["repo"].rpartition("/")[2].removesuffix("-pre-commit"): hook.get("rev") for hook in hooks}
    assert revisions == {"ruff": f"v{pins['ruff']}", "codespell": f"v{pins['codespell']}", "local": None}


def test_the_changelog_has_the_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("form", ["bug", "feature", "config"])
def test_issue_form_is_valid(form: str) -> None:
    fields = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text("utf-8"))
    assert fields.keys() >= ({"blank_issues_enabled"} if form == "config" else {"name", "description", "body"})
    ids = [field["id"] for field in fields.get("body", []) if field["type"] != "markdown"]
    assert len(ids) == len(set(ids))


def test_contributing_names_every_lane() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [lane for lane in LANES if f"`{lane}`" not in page] == []
