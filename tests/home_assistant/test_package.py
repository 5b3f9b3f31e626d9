"""The requirements of Home Assistant and HACS for the folder: manifest, images, and quality scale."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import homeassistant
import pytest
import yaml
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_integration

from custom_components.sms1680 import const

HERE = Path(const.__file__).parent
RULES: dict[str, Any] = yaml.safe_load((HERE / "quality_scale.yaml").read_text("utf-8"))["rules"]


def test_manifest_is_valid() -> None:
    manifest = json.loads((HERE / "manifest.json").read_text("utf-8"))
    keys = list(manifest)
    assert keys[:2] == ["domain", "name"]
    assert keys[2:] == sorted(keys[2:])
    assert manifest["domain"] == HERE.name == const.DOMAIN
    assert all(owner.startswith("@") for owner in manifest["codeowners"])
    assert manifest["requirements"] == ["pyotp>=2.8.0,<3"]


async def test_home_assistant_loads_the_integration(hass: HomeAssistant) -> None:
    integration = await async_get_integration(hass, const.DOMAIN)
    assert integration.version
    assert integration.integration_type == "service"


@pytest.mark.parametrize(("name", "size"), [("icon.png", 256), ("icon@2x.png", 512)])
def test_icon_has_the_required_size(name: str, size: int) -> None:
    data = (HERE / "brand" / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (size, size)


def test_every_quality_rule_is_assessed() -> None:
    """Home Assistant's own integrations of this version define the rules."""
    components = Path(homeassistant.__file__).parent / "components"
    known: set[str] = set()
    for file in components.glob("*/quality_scale.yaml"):
        known.update(yaml.safe_load(file.read_text("utf-8"))["rules"])
    assert len(known) > 40
    assert known <= RULES.keys()


def test_every_quality_rule_is_done_or_exempt_with_a_reason() -> None:
    for rule, verdict in RULES.items():
        if verdict != "done":
            assert verdict["status"] == "exempt", rule
            assert len(verdict["comment"]) > 10, rule
