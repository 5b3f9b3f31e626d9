"""Code, services.yaml, icons.json and both languages agree, in both directions."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import voluptuous as vol
import yaml
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const, issues, trigger
from custom_components.sms1680.account import health
from custom_components.sms1680.client import Reason
from tests.home_assistant.helpers import ALICE, duty_group, recipient

HERE = Path(const.__file__).parent
LANGUAGES = ("en", "zh-Hans")
TARGET = {"entity_id", "device_id", "area_id", "floor_id", "label_id"}


def translations(language: str) -> dict[str, Any]:
    return dict(json.loads((HERE / "translations" / f"{language}.json").read_text("utf-8")))


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    else:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else name)


EN = translations("en")
TEXTS = {language: dict(leaves(translations(language))) for language in LANGUAGES}
# The core (client/) is independent of Home Assistant.
SOURCES = {
    path: ast.parse(path.read_text("utf-8"))
    for path in sorted(HERE.rglob("*.py"))
    if path.relative_to(HERE).parts[0] != "client"
}
LITERALS = {
    node.value
    for tree in SOURCES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}
SERVICES = yaml.safe_load((HERE / "services.yaml").read_text("utf-8"))
TRIGGERS = yaml.safe_load((HERE / "triggers.yaml").read_text("utf-8"))
ICONS = json.loads((HERE / "icons.json").read_text("utf-8"))


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_both_languages_have_the_same_texts() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh-Hans"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_follow_the_rules_of_home_assistant(language: str) -> None:
    for path, text in TEXTS[language].items():
        assert text == text.strip(), path
        assert text, path
        assert "<" not in text, path
        assert "://" not in text, path
        assert not re.search(r"'\{\w+\}'", text), path
        assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in path.split(".")), path
        assert placeholders(text) == placeholders(TEXTS["en"][path]), path


# Home Assistant uses 账户 and 登录. The platform's term for the username is quoted once.
@pytest.mark.parametrize("wrong", ["网关", "用户名称", "账号", "帐号", "帐户", "登陆", "触发器", "余额"])
def test_chinese_texts_avoid_wrong_terms(wrong: str) -> None:
    quoted = "（平台文档写作“登陆名称”）"
    assert not [path for path, text in TEXTS["zh-Hans"].items() if wrong in text.replace(quoted, "")]


def calls_of(*functions: str) -> Iterator[ast.Call]:
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                yield node


def test_errors_and_their_translations_match() -> None:
    used = {
        call.args[0].value
        for call in calls_of("validation_error", "_error")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert len(used) > 5
    assert used <= EN["exceptions"].keys()
    assert EN["exceptions"].keys() <= LITERALS


def test_every_error_passes_its_placeholders() -> None:
    for call in calls_of("validation_error"):
        if isinstance(call.args[0], ast.Constant):
            given = {keyword.arg for keyword in call.keywords}
            assert placeholders(EN["exceptions"][call.args[0].value]["message"]) <= given


def test_repairs_and_their_translations_match() -> None:
    wanted = {f"problem_{reason.value}" for reason in issues.PROBLEMS}
    others = EN["issues"].keys() - wanted
    assert wanted <= EN["issues"].keys()
    assert others <= LITERALS


@pytest.mark.parametrize("part", ["config", "options", "config_subentries.recipient"])
def test_no_flow_text_is_unused(part: str) -> None:
    """The fixture in conftest.py checks that every opened dialog has its texts."""
    texts = EN
    for name in part.split("."):
        texts = texts[name]
    from_home_assistant = {"already_in_progress"}
    for kind in ("error", "abort", "progress"):
        if kind == "abort" and part == "config":
            from_home_assistant |= {"reauth_successful", "reconfigure_successful"}
        if kind == "progress":
            assert {name.removeprefix("test_") for name in texts.get(kind, {})} <= LITERALS
        else:
            assert set(texts.get(kind, {})) <= LITERALS | from_home_assistant | {"reconfigure_successful"}
    methods = {
        name.removeprefix("async_step_")
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        for name in method_names(node)
    }
    assert set(texts["step"]) <= methods


def method_names(node: ast.AST) -> list[str]:
    """Return the name of a method, or its other names (`async_step_b = async_step_a`)."""
    if isinstance(node, ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def test_every_selector_is_used() -> None:
    yaml_keys = set(re.findall(r"translation_key: (\w+)", (HERE / "services.yaml").read_text("utf-8")))
    yaml_keys |= set(re.findall(r"translation_key: (\w+)", (HERE / "triggers.yaml").read_text("utf-8")))
    assert yaml_keys <= EN["selector"].keys()
    assert EN["selector"].keys() <= yaml_keys | LITERALS


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an action without their sections."""
    return {name: field for key, entry in fields.items() for name, field in entry.get("fields", {key: entry}).items()}


@pytest.mark.usefixtures("entry")
async def test_actions_have_translations_and_icons(hass: HomeAssistant) -> None:
    registered = hass.services.async_services_for_domain(const.DOMAIN)
    assert registered.keys() == SERVICES.keys() == EN["services"].keys() == ICONS["services"].keys()
    for name, service in registered.items():
        fields = _flat(SERVICES[name]["fields"])
        sections = {key for key, field in SERVICES[name]["fields"].items() if "fields" in field}
        assert sections == EN["services"][name].get("sections", {}).keys(), name
        schema: Any = service.schema
        taken = {str(field): isinstance(field, vol.Required) for field in schema.schema if str(field) not in TARGET}
        assert fields.keys() == EN["services"][name]["fields"].keys(), name
        assert {field: description.get("required", False) for field, description in fields.items()} == taken, name
        for field in fields.values():
            options = field["selector"].get("select")
            if options:
                assert set(options["options"]) == EN["selector"][options["translation_key"]]["options"].keys()
            if (rows := field["selector"].get("object")) and "fields" in rows:
                assert rows["fields"].keys() == EN["selector"][rows["translation_key"]]["fields"].keys()


def test_triggers_have_translations_and_icons() -> None:
    schemas = {
        "message_received": trigger._MESSAGE,
        "command": trigger._COMMAND,
        "delivery_report": trigger._REPORT,
        "message_failed": trigger._FAILURE,
    }
    assert schemas.keys() == TRIGGERS.keys() == EN["triggers"].keys() == ICONS["triggers"].keys()
    for name, schema in schemas.items():
        fields = TRIGGERS[name]["fields"]
        assert fields.keys() == EN["triggers"][name]["fields"].keys(), name
        assert {field: description.get("default") for field, description in fields.items()} == {
            str(field): field.default() if callable(field.default) else None for field in schema
        }, name
        assert not any(isinstance(field, vol.Required) for field in schema), name
        for description in fields.values():
            if options := description["selector"].get("select"):
                assert set(options["options"]) == EN["selector"][options["translation_key"]]["options"].keys()


async def test_entities_have_translations_and_icons(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: Any
) -> None:
    subentries = [recipient("Alice", ALICE), duty_group(members=("alice",))]
    entry = make_entry(ways=("http", "cmpp"), cmpp={"port": 1}, recipients=subentries)
    await set_up(entry)
    found = {
        (entity.domain, entity.translation_key)
        for entity in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    }
    translated = {(domain, key) for domain, keys in EN["entity"].items() for key in keys}
    drawn = {(domain, key) for domain, keys in ICONS["entity"].items() for key in keys}
    # These notify entities have only the names of their recipient or group.
    assert found == translated | {("notify", "recipient"), ("notify", "group")} == drawn


@pytest.mark.usefixtures("entry")
async def test_reasons_of_can_send_are_translated(hass: HomeAssistant) -> None:
    state = hass.states.get("binary_sensor.home_can_send")
    assert state is not None
    reasons = EN["entity"]["binary_sensor"]["can_send"]["state_attributes"]["reason"]["state"]
    assert "reason" in state.attributes
    assert reasons.keys() == {reason.value for reason in health.STOPS_ALL}


def test_reasons_of_the_connection_are_translated() -> None:
    reasons = EN["entity"]["binary_sensor"]["connected"]["state_attributes"]["reason"]["state"]
    assert reasons.keys() == {*issues.CONNECTION_PROBLEMS, Reason.AUTHENTICATION, Reason.NO_CONNECTION, Reason.CORRUPT}


def imports(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """Yield the imports from Home Assistant that must succeed."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) and any(
            "ImportError" in ast.unparse(one.type or child) for one in child.handlers
        ):
            continue
        if isinstance(child, ast.ImportFrom) and child.level == 0 and str(child.module).startswith("homeassistant"):
            yield child
        yield from imports(child)


# Missing in older versions, and therefore imported only after a check.
NEWER = {
    "homeassistant.config_entries.FlowType",
    "homeassistant.helpers.automation.move_top_level_schema_fields_to_options",
    "homeassistant.helpers.llm.ToolAnnotations",
    "homeassistant.helpers.trigger.TriggerActionRunner",
    "homeassistant.helpers.trigger.TriggerConfig",
}


def is_there(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name) or find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError:
        return False


def test_every_import_exists_in_home_assistant() -> None:
    """Include imports inside functions, which otherwise fail only when the function runs."""
    wanted = [
        (str(imported.module), alias.name)
        for tree in SOURCES.values()
        for imported in imports(tree)
        for alias in imported.names
    ]
    assert len(wanted) > 100
    assert {f"{module}.{name}" for module, name in wanted if not is_there(module, name)} <= NEWER
