"""The forms for a recipient's commands, and for an account's command words and question extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.const import CONF_COMMAND_WORDS, CONF_QUESTION_EXTENSIONS
from tests.home_assistant.helpers import enter_recipient, start_recipient

NUMBER = "13800000003"
CAROL = {"name": "Carol", "number": NUMBER}


def data_of(entry: MockConfigEntry, name: str) -> dict[str, Any]:
    (subentry,) = (one for one in entry.subentries.values() if one.title == name)
    return dict(subentry.data)


async def test_weak_or_invalid_pin_is_rejected(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await enter_recipient(hass, await start_recipient(hass, entry), {**CAROL, "commands": "pin"})
    for pin, error in (
        ("", "invalid_pin"),
        ("12a456", "invalid_pin"),
        ("47135", "invalid_pin"),
        ("123456", "weak_pin"),
        ("000003", "weak_pin"),
    ):
        assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "pin")
        # The account has no command words yet.
        assert result["description_placeholders"] == {"words": "-"}
        result = await enter_recipient(hass, result, {"pin": pin})
        assert result["errors"] == {"pin": error}
    result = await enter_recipient(hass, result, {"pin": "471350"})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert data_of(entry, "Carol") == {"number": NUMBER, "commands": "pin", "pin": "471350"}


async def test_pin_is_preserved_until_commands_are_disabled(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await enter_recipient(
        hass,
        await enter_recipient(hass, await start_recipient(hass, entry), {**CAROL, "commands": "pin"}),
        {"pin": "471350"},
    )
    (carol,) = (key for key, one in entry.subentries.items() if one.title == "Carol")
    result = await enter_recipient(
        hass, await start_recipient(hass, entry, carol), {**CAROL, "name": "Karola", "commands": "pin"}
    )
    assert (await enter_recipient(hass, result, {}))["reason"] == "reconfigure_successful"
    assert data_of(entry, "Karola")["pin"] == "471350"
    result = await enter_recipient(hass, await start_recipient(hass, entry, carol), {**CAROL, "commands": "none"})
    assert result["reason"] == "reconfigure_successful"
    assert data_of(entry, "Carol") == {"number": NUMBER}


async def test_authenticator_code_confirms_the_secret(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await enter_recipient(hass, await start_recipient(hass, entry), {**CAROL, "commands": "totp"})
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "totp")
    assert result["description_placeholders"] is not None
    secret = result["description_placeholders"]["secret"]
    result = await enter_recipient(hass, result, {"code": "000000"})
    assert result["errors"] == {"code": "wrong_code"}
    code = pyotp.TOTP(secret).now()
    result = await enter_recipient(hass, result, {"code": f"{code[:3]} {code[3:]}"})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert data_of(entry, "Carol") == {"number": NUMBER, "commands": "totp", "totp_secret": secret}
    # A change preserves the secret and does not show it again.
    (carol,) = (key for key, one in entry.subentries.items() if one.title == "Carol")
    result = await start_recipient(hass, entry, carol)
    assert secret not in str(result)
    result = await enter_recipient(hass, result, {**CAROL, "commands": "totp"})
    assert result["reason"] == "reconfigure_successful"
    assert data_of(entry, "Carol")["totp_secret"] == secret


async def options(hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any]) -> Any:
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "conversation"})
    result = await hass.config_entries.options.async_configure(result["flow_id"], given)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


async def test_command_words_and_extensions_are_saved(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    given = {"question_extensions": "100-199", "command_words": [" 撤防 ", "", "开门"]}
    assert (await options(hass, entry, given))["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options[CONF_QUESTION_EXTENSIONS] == "100-199"
    assert entry.options[CONF_COMMAND_WORDS] == ["撤防", "开门"]


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"question_extensions": "9-10"}, {"question_extensions": "invalid_extensions"}),
        ({"question_extensions": "abc"}, {"question_extensions": "invalid_extensions"}),
        ({"command_words": ["撤防1"]}, {"command_words": "invalid_words"}),
    ],
)
async def test_invalid_input_is_reported(
    hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any], errors: dict[str, str]
) -> None:
    result = await options(hass, entry, given)
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)


async def test_question_and_recipient_extensions_must_differ(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await enter_recipient(hass, await start_recipient(hass, entry), {**CAROL, "extension": "150"})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    refused = await options(hass, entry, {"question_extensions": "100-199"})
    assert refused["errors"] == {"question_extensions": "extension_taken"}
    assert (await options(hass, entry, {"question_extensions": "200-299"}))["type"] is FlowResultType.CREATE_ENTRY
    result = await enter_recipient(
        hass, await start_recipient(hass, entry), {"name": "D", "number": "13800000004", "extension": "200"}
    )
    assert result["errors"] == {"replies": "question_extension"}


async def test_extension_range_must_fit_the_source_number(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry]
) -> None:
    entry = make_entry(ways=("cmpp",), cmpp={"source_number": "1" * 18})
    too_long = await options(hass, entry, {"question_extensions": "1000-1999"})
    assert too_long["errors"] == {"question_extensions": "extensions_too_long"}
    assert (await options(hass, entry, {"question_extensions": "100-199"}))["type"] is FlowResultType.CREATE_ENTRY
