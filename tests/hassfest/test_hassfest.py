"""Check the rules of hassfest and of the HACS action that need only the files."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

INTEGRATION = ROOT / "custom_components" / "sms1680"
LANGUAGES = ("en", "zh-Hans")
MANIFEST_KEYS = {
    "after_dependencies",
    "codeowners",
    "config_flow",
    "dependencies",
    "documentation",
    "domain",
    "import_executor",
    "integration_type",
    "iot_class",
    "issue_tracker",
    "loggers",
    "name",
    "quality_scale",
    "requirements",
    "single_config_entry",
    "version",
}
IOT_CLASSES = {"assumed_state", "calculated", "cloud_polling", "cloud_push", "local_polling", "local_push"}
INTEGRATION_TYPES = {"device", "entity", "hardware", "helper", "hub", "service", "system", "virtual"}
HACS_KEYS = {
    "content_in_root",
    "country",
    "filename",
    "hacs",
    "hide_default_branch",
    "homeassistant",
    "name",
    "persistent_directory",
    "render_readme",
    "zip_release",
}
# Integrations that others may import without a dependency.
ALWAYS_THERE = {
    "automation",
    "binary_sensor",
    "event",
    "homeassistant",
    "notify",
    "persistent_notification",
    "script",
    "sensor",
}
# Integrations for which a module of the same name is a platform.
PLATFORM_MODULES = {"button", "diagnostics", "repairs", "system_health"}


def load(name: str) -> Any:
    return json.loads((INTEGRATION / name).read_text("utf-8"))


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Return every text of a translation with the path of its key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def translation(language: str) -> Any:
    return load(f"translations/{language}.json")


def services() -> dict[str, Any]:
    return yaml.safe_load((INTEGRATION / "services.yaml").read_text("utf-8"))


def fields_of(service: dict[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the fields of an action, including those in sections."""
    for name, field in ((service or {}).get("fields") or {}).items():
        if "fields" in field:
            yield from field["fields"].items()
        else:
            yield name, field


def selectors(value: Any) -> Iterator[dict[str, Any]]:
    """Return every select selector below a value."""
    if isinstance(value, dict):
        if isinstance(value.get("select"), dict):
            yield value["select"]
        for inner in value.values():
            yield from selectors(inner)


def test_manifest_keys_are_known_and_sorted() -> None:
    keys = list(load("manifest.json"))
    assert set(keys) <= MANIFEST_KEYS
    assert keys == ["domain", "name", *sorted(set(keys) - {"domain", "name"})]


def test_manifest_is_complete() -> None:
    manifest = load("manifest.json")
    assert {"codeowners", "documentation", "domain", "issue_tracker", "name", "version"} <= set(manifest)
    assert manifest["domain"] == INTEGRATION.name
    assert manifest["iot_class"] in IOT_CLASSES
    assert manifest.get("integration_type", "hub") in INTEGRATION_TYPES
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", manifest["version"])
    assert manifest["codeowners"]
    assert all(re.fullmatch(r"@[\w-]+(/[\w-]+)?", owner) for owner in manifest["codeowners"])
    assert manifest["documentation"].startswith("https://")
    assert "home-assistant.io/integrations" not in manifest["documentation"]
    assert manifest["config_flow"] is (INTEGRATION / "config_flow.py").is_file()


def test_imported_integrations_are_dependencies() -> None:
    manifest = load("manifest.json")
    known = {*manifest.get("dependencies", []), *manifest.get("after_dependencies", []), *ALWAYS_THERE}
    missing = {
        f"{path.name}: {name}"
        for path in INTEGRATION.rglob("*.py")
        for name in imported_integrations(ast.parse(path.read_text("utf-8")))
        if name not in known and not (name in PLATFORM_MODULES and path.stem == name)
    }
    assert missing == set()


def imported_integrations(tree: ast.AST) -> Iterator[str]:
    """Return the Home Assistant integrations that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["homeassistant", "components"]:
                yield from [parts[2]] if len(parts) > 2 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("homeassistant.components."):
                    yield alias.name.split(".")[2]


def test_integration_with_setup_has_a_config_schema() -> None:
    tree = ast.parse((INTEGRATION / "__init__.py").read_text("utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }
    assert "async_setup" not in functions or "CONFIG_SCHEMA" in assigned


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_plain_text(language: str) -> None:
    for path, text in strings(translation(language)):
        assert isinstance(text, str), path
        assert text == text.strip(), path
        assert text, path
        assert not re.search(r"</?[a-zA-Z][^>]*>", text), f"{path}: HTML"
        assert not re.search(r"https?://", text), f"{path}: an address belongs into a placeholder"
        assert not re.search(r"'\{\w+\}'", text), f"{path}: single quotes around a placeholder"
        assert "[%key:" not in text, f"{path}: references are not resolved in a custom integration"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation_keys_are_lower_case(language: str) -> None:
    for path, _text in strings(translation(language)):
        assert all(re.fullmatch(r"[a-z0-9-_]+", key) for key in path.split(".")), path


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, chinese = (dict(strings(translation(language))) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    placeholder = re.compile(r"\{\w+\}")
    for path, text in english.items():
        assert sorted(placeholder.findall(text)) == sorted(placeholder.findall(chinese[path])), path


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every step of every flow."""
    english = translation("en")
    flows = {"config": english["config"], "options": english.get("options", {}), **english.get("config_subentries", {})}
    for flow, texts in flows.items():
        for step, content in texts.get("step", {}).items():
            yield f"{flow}.{step}", content
            for section, inner in content.get("sections", {}).items():
                yield f"{flow}.{step}.{section}", inner


def test_every_flow_field_has_a_description() -> None:
    for name, step in steps():
        assert set(step.get("data_description", {})) == set(step.get("data", {})), name


def test_every_subentry_type_has_its_texts() -> None:
    for kind, texts in translation("en").get("config_subentries", {}).items():
        assert texts["entry_type"], kind
        assert texts["initiate_flow"]["user"], kind


def test_every_action_and_field_has_a_name_and_a_description() -> None:
    told = translation("en")["services"]
    assert told.keys() == services().keys()
    for name, service in services().items():
        assert told[name]["name"], name
        assert told[name]["description"], name
        fields = [field for field, _ in fields_of(service)]
        assert len(fields) == len(set(fields)), f"{name}: a field stands twice"
        assert set(told[name].get("fields", {})) == set(fields), name
        for field, texts in told[name].get("fields", {}).items():
            assert set(texts) == {"name", "description"}, f"{name}.{field}"


def test_actions_use_no_top_level_anchors() -> None:
    assert [name for name in services() if name.startswith(".")] == []


def test_every_selector_option_is_translated() -> None:
    told = translation("en").get("selector", {})
    for select in selectors(services()):
        if "translation_key" in select:
            options = {option if isinstance(option, str) else option["value"] for option in select["options"]}
            assert set(told[select["translation_key"]]["options"]) == options


def test_icons_are_material_design_and_every_action_has_one() -> None:
    icons = load("icons.json")
    assert [path for path, icon in strings(icons) if not re.fullmatch(r"mdi:[a-z0-9-]+", icon)] == []
    assert icons["services"].keys() == services().keys()


def test_hacs_file_is_valid() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text("utf-8"))
    assert set(hacs) <= HACS_KEYS
    assert hacs["name"]
    assert "country" not in hacs
    assert (ROOT / "README.md").is_file()
    folders = [path.name for path in (ROOT / "custom_components").iterdir() if path.is_dir()]
    assert [name for name in folders if not name.startswith(("_", "."))] == ["sms1680"]


@pytest.mark.parametrize(("name", "side"), [("icon.png", 256), ("icon@2x.png", 512)])
def test_icon_has_the_required_size(name: str, side: int) -> None:
    head = (INTEGRATION / "brand" / name).read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (side, side)


def test_integration_imports_nothing_outside_its_folder() -> None:
    """HACS copies only this folder."""
    outside = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in INTEGRATION.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > len(path.relative_to(INTEGRATION).parts)
    }
    assert outside == set()
    assert not any(path.is_symlink() for path in Path(INTEGRATION).rglob("*"))
