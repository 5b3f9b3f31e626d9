"""Check that both languages match, links have targets, and every argument, option and setting is documented."""

import argparse
import dataclasses
import inspect
import json
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bootstrap import LANES
from support import ROOT
from support.pages import LANGUAGES, PAGES, all_examples, cells, examples, path_of, table_of, tables

from sms1680 import AsyncClient, Client, SpendingLimits
from sms1680.apprise import NotifySMS1680
from sms1680.apprise.arguments import OPTION_ALIASES, OPTIONS
from sms1680.apprise.command import FOLDERS
from sms1680.apprise.plugin import APPRISE_TIMEOUT, SHARE_OF_TIMEOUT
from sms1680.cli.program import make_parser
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.client_settings import CMPPSettings
from sms1680.http.client import HTTPSettings
from sms1680.limits.shared_state import state_folders
from sms1680.options import SendOptions

ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
PACKAGE = f"{ADDRESS}/archive/refs/heads/main.zip"
BOTH = pytest.mark.parametrize("language", LANGUAGES)
EACH = pytest.mark.parametrize(("page", "language"), [(page, language) for page in PAGES for language in LANGUAGES])

# `none` cannot be run. In tests/home_assistant, test_docs.py runs the kinds from `automation` to `push`, and
# test_assist_send.py the sentences. tests/recipes runs the last one.
KINDS = {
    *("python", "shell", "cmpp", "apprise-config", "dropin", "mailrise"),
    *("scripts", "install", "compose", "dockerfile", "upstream", "none"),
    *("automation", "script", "configuration", "push"),
    *("sentences", "recipe"),
}  # fmt: skip


def prose(page: str, language: str) -> str:
    return re.sub(r"^```.*?^```", "", path_of(page, language).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def headings(page: str, language: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose(page, language), re.MULTILINE)]


def anchor(title: str) -> str:
    """Return the anchor that GitHub creates for a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_chapters_tables_and_examples(page: str) -> None:
    assert [level for level, _ in headings(page, "en")] == [level for level, _ in headings(page, "zh")]
    assert list(tables(page, "en")) == list(tables(page, "zh"))
    assert examples(page, "en") == examples(page, "zh")


@pytest.mark.parametrize("page", PAGES)
def test_tables_of_both_languages_contain_the_same_code(page: str) -> None:
    for name, table in tables(page, "en").items():
        words = [re.findall(r"`[^`]+`", row) for row in table.splitlines()]
        assert words == [re.findall(r"`[^`]+`", row) for row in tables(page, "zh")[name].splitlines()], name


@BOTH
def test_readme_is_short(language: str) -> None:
    assert len(path_of("README", language).read_text("utf-8").splitlines()) <= 150


@EACH
def test_every_link_has_a_target(page: str, language: str) -> None:
    here = path_of(page, language)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page, language)):
        file, _, part = target.partition("#")
        there = (here.parent / file).resolve() if file else here
        assert there.exists(), target
        if part:
            assert part in {anchor(title) for title in re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)}


@EACH
def test_links_keep_the_language(page: str, language: str) -> None:
    """A page links to pages of its own language, except for one link to its twin."""
    linked = re.findall(r"\]\(((?!https?:)[^)#\s]+?)(\.zh-Hans)?\.md", prose(page, language))
    here = path_of(page, language).parent
    twins = [bool(chinese) for name, chinese in linked if (here / f"{name}.zh-Hans.md").exists()]
    assert twins.count(language == "en") == 1


@pytest.mark.parametrize("page", PAGES)
def test_chinese_pages_do_not_call_the_platform_a_gateway(page: str) -> None:
    """In Home Assistant, 网关 is a Zigbee device. The status KX:2000 refers to a carrier's gateway."""
    said = prose(page, "zh").replace(tables(page, "zh").get("statuses", ""), "")
    assert "网关" not in said


@pytest.mark.parametrize("page", PAGES)
def test_chinese_pages_use_the_words_of_home_assistant(page: str) -> None:
    """The platform's own 登陆名称 is quoted where its staff would say it."""
    shown = prose(page, "zh").replace("（平台文档写作“登陆名称”）", "")
    assert [word for word in ("帐号", "账号", "帐户", "登陆", "触发器", "余额") if word in shown] == []


def test_every_example_says_how_it_is_tested() -> None:
    assert {example.kind for example in all_examples()} == KINDS


@pytest.mark.parametrize("example", all_examples("scripts"), ids=lambda example: example.page)
def test_commands_in_examples_exist(example: Any) -> None:
    for script in re.findall(r"\bscripts/\w+", example.text):
        assert (ROOT / script).stat().st_mode & 0o111
    for lane in re.findall(r"scripts/test ([\w-]+)", example.text):
        assert lane in LANES
    for path in re.findall(r"\b(?:tests|benchmarks)/[\w/.]+", example.text):
        assert (ROOT / path).exists()


def test_every_lane_is_documented() -> None:
    for language in LANGUAGES:
        assert [lane for lane in LANES if f"`{lane}`" not in prose("docs/development", language)] == []


def test_package_is_installed_from_one_address() -> None:
    whole = "\n".join(path_of(page, language).read_text("utf-8") for page in PAGES for language in LANGUAGES)
    assert set(re.findall(r"https://github\.com/\S+?\.zip", whole)) == {PACKAGE}
    assert re.findall(r"pip install (?:-U \"apprise<2.3\" |--no-cache-dir )?(?!-)([^\s`\"]+)", whole)
    for example in all_examples("install", "dockerfile"):
        assert re.search(rf"pip install .*{re.escape(PACKAGE)}", example.text)


def test_composed_hosts_get_the_package_or_the_drop_in() -> None:
    services: dict[str, Any] = {}
    for example in all_examples("compose"):
        services |= yaml.safe_load(example.text)["services"]
    assert services["changedetection"]["environment"] == {"EXTRA_PACKAGES": PACKAGE, "SMS1680_PASSWORD": "password"}
    (mounted,) = [volume for volume in services["uptime-kuma"]["volumes"] if "plugins" in volume]
    made, inside, _ = mounted.split(":")
    assert inside in FOLDERS
    for language in LANGUAGES:
        assert f"sms1680 apprise --into {made}" in tables("docs/apprise", language)["hosts"]


def numbers(words: str) -> Iterator[int]:
    """Yield the numbers in a citation such as `8, 9, 16 to 22 and 24`."""
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", words):
        yield from range(int(first), int(last or first) + 1)


def test_citations_name_existing_sections_and_traps() -> None:
    """The code cites its facts as `docs/protocol.md, section N` and `docs/cmpp.md, trap N`."""
    known = {
        page: {
            "section": {int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)},
            "trap": {int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)},
        }
        for page in ("protocol", "cmpp")
        for text in [(ROOT / "docs" / f"{page}.md").read_text("utf-8")]
    }
    cited = [
        (page, kind, number)
        for folder in ("custom_components", "apprise_plugin", "sandbox", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for page, kind, words in re.findall(
            r"docs/(protocol|cmpp)\.md, (section|trap)s? (\d+(?:(?:, | and | to )\d+)*)", path.read_text("utf-8")
        )
        for number in numbers(words)
    ]
    assert cited
    assert [one for one in cited if one[2] not in known[one[0]][one[1]]] == []


# --- settings --------------------------------------------------------------------------------------------------------


def first_cells(page: str, language: str, name: str, column: int = 0) -> list[str]:
    return [row[column].strip("`") for row in cells(tables(page, language)[name])]


def settings_of(*kinds: type) -> dict[str, object]:
    """Return the settings of a client, except the account, with their defaults."""
    return {
        name: parameter.default
        for kind in kinds
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name != "account"
    }


@BOTH
@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        pytest.param("settings", (HTTPSettings, Client, AsyncClient), id="http"),
        pytest.param("cmpp-settings", (CMPPSettings, CMPPClient), id="cmpp"),
    ],
)
def test_every_client_setting_is_documented_with_its_default(
    language: str, table: str, kinds: tuple[type, ...]
) -> None:
    accepted = settings_of(*kinds)
    told = {name.strip("`"): default for name, default, _ in cells(tables("docs/python", language)[table])}
    assert told.keys() == accepted.keys()
    for name, default in accepted.items():
        if default is None or (isinstance(default, str | int | float) and default != ""):
            assert told[name] == f"`{default}`" or not told[name].startswith("`"), name
        elif default in ("", inspect.Parameter.empty):
            assert told[name] == "", name


@BOTH
def test_every_send_option_is_documented(language: str) -> None:
    said = prose("docs/python", language)
    assert [name for name in SendOptions.__annotations__ if f"`{name}`" not in said] == []


@BOTH
def test_every_spending_limit_is_documented_with_its_default(language: str) -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in cells(tables("docs/python", language)["spending"])}
    assert told == {field.name: str(field.default) for field in dataclasses.fields(SpendingLimits)}


@BOTH
def test_state_folders_are_documented_in_order(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMS1680_STATE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    named, at_home, runtime, temporary = state_folders()
    assert (named, at_home) == (tmp_path / "xdg" / "sms1680", tmp_path / ".local" / "state" / "sms1680")
    assert runtime == tmp_path / "run" / "sms1680"
    assert temporary.parent == Path(tempfile.gettempdir())
    told = re.findall(r"`((?:\$|~)[^`]+)`", prose("docs/reference", language))
    folders = ["$SMS1680_STATE_DIR", "$XDG_STATE_HOME/sms1680", "~/.local/state/sms1680", "$XDG_RUNTIME_DIR/sms1680"]
    assert told == folders


def commands_of(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command of a parser, with those below it, such as `apprise url`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield f"{name}{word}", command
                yield from commands_of(command, f"{name}{word} ")


def parsers() -> dict[str, argparse.ArgumentParser]:
    return dict(commands_of(make_parser([])))


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.option_strings != ["-h", "--help"] and not isinstance(action, argparse._SubParsersAction):
            yield action.option_strings[-1] if action.option_strings else action.dest


@BOTH
def test_every_command_line_option_is_documented(language: str) -> None:
    told: set[tuple[str, str]] = set()
    current: list[str] = []
    for command, option, *_ in cells(tables("docs/python", language)["options"]):
        if command:
            current = re.findall(r"`([\w ]+)`", command) or list(parsers())
        told |= {(name, option.strip("`")) for name in current}
    assert told == {(name, option) for name, parser in parsers().items() for option in options(parser)}


@BOTH
def test_documented_variables_are_those_that_the_command_line_reads(language: str) -> None:
    helps = " ".join(str(action.help) for parser in parsers().values() for action in parser._actions)
    told = re.findall(r"SMS1680_[A-Z0-9_]+", tables("docs/python", language)["options"])
    known = [*re.findall(r"SMS1680_[A-Z0-9_]+", helps), "SMS1680_SANDBOX_PASSWORD"]
    assert set(told) == set(known)


@BOTH
def test_every_url_argument_is_documented_with_its_aliases_and_default(language: str) -> None:
    ours = {name: arg for name, arg in NotifySMS1680.template_args.items() if name in OPTIONS or name == "to"}
    told = {row[0].strip("`"): row for row in cells(tables("docs/apprise", language)["url-arguments"])}
    assert told.keys() == ours.keys()
    for name, (_, others, default, _) in told.items():
        assert re.findall(r"`(\w+)`", others) == list(OPTION_ALIASES.get(name, ()))
        wanted = ours[name].get("default", "")
        said = {True: "yes", False: "no"}.get(wanted, wanted) if isinstance(wanted, bool) else wanted
        assert default.strip("`") == str(said), name
    longest = NotifySMS1680.template_args["dedupe"]["max"]
    assert str(longest) in told["dedupe"][3]


@BOTH
def test_documented_apprise_timeouts_match_the_code(language: str) -> None:
    said = prose("docs/apprise", language)
    assert f"{APPRISE_TIMEOUT * SHARE_OF_TIMEOUT:g} s" in said or f"{APPRISE_TIMEOUT * SHARE_OF_TIMEOUT:g} 秒" in said
    assert re.search(
        rf"`rto`.*\({NotifySMS1680.socket_connect_timeout:g}\).*\({NotifySMS1680.socket_read_timeout:g}\)"
        rf"|`rto`.*（{NotifySMS1680.socket_connect_timeout:g}）.*（{NotifySMS1680.socket_read_timeout:g}）",
        said,
    )


@BOTH
def test_entities_have_the_names_that_home_assistant_shows(language: str) -> None:
    file = ROOT / "custom_components" / "sms1680" / "translations" / f"{LANGUAGES[language][1:] or 'en'}.json"
    entities = json.loads(file.read_text("utf-8"))["entity"]
    known = {(one["name"], kind) for kind, of_kind in entities.items() for one in of_kind.values() if "name" in one}
    told = [
        row
        for name in ("recipient-entities", "group-entities", "account-entities")
        for row in cells(table_of(name, language))
    ]
    shown = {(name, kind.strip("`")) for name, kind, _ in told}
    assert known <= shown
    assert len(shown - known) == 1  # the notify entity with the recipient's own name


def test_every_page_is_in_the_list_of_pages() -> None:
    """A page outside the list would not be tested."""
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.zh-Hans.md")}
    assert pages == {f"{page}.zh-Hans.md" for page in PAGES if page.startswith("docs/")}
