"""The contents of diagnostics and system health, and the data that they must not contain."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Outcome, Reply
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, MakeEntry, receive, send_text

REVEALING = {
    const.CONF_SIGNATURE: "某某科技",
    const.CONF_PROXY: "http://proxyuser:proxypass@127.0.0.1:1",
    const.CONF_SHARED_STATE: "redis://stateuser:statepass@127.0.0.1:1/0",
    const.CONF_SOURCE_NUMBER: "106900001680",
    const.CONF_NETWORKS: ["192.0.2.0/24"],
    const.CONF_SAFE_TEXT: "家中有警报",
    const.CONF_COMMAND_WORDS: ["芝麻开门"],
}


async def file_of(hass: HomeAssistant, entry: MockConfigEntry, client: ClientSessionGenerator) -> dict[str, Any]:
    """Return the downloaded file, which includes the data that Home Assistant adds."""
    assert await async_setup_component(hass, "diagnostics", {})
    response = await (await client()).get(f"/api/diagnostics/config_entry/{entry.entry_id}")
    assert response.status == HTTPStatus.OK
    whole: dict[str, Any] = await response.json()
    return whole


async def diagnostics_of(hass: HomeAssistant, entry: MockConfigEntry, client: ClientSessionGenerator) -> dict[str, Any]:
    data: dict[str, Any] = (await file_of(hass, entry, client))["data"]
    return data


async def test_diagnostics_contain_counts(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator
) -> None:
    client = entry.runtime_data.client
    await send_text(client, ALICE, "后门打开")
    (receipt,) = await send_text(client, ALICE, "代开发票")
    assert receipt.outcome is Outcome.REFUSED
    await receive(hass, entry, Reply(ALICE, "好的"), Reply(ALICE, "好的"), DeliveryReport("7", ALICE, "0"))
    async_get_registry(hass).async_get(entry).warn("malformed", "Refused")
    diagnostics = await diagnostics_of(hass, entry, hass_client)
    assert diagnostics["received"]["counts"] == {
        "message_received": 1,
        "message_received_again": 1,
        "delivery_report": 1,
        "malformed": 1,
    }
    assert diagnostics["sent"] == {"messages": 1, "parts": 1, "spent": 0.0, "outcomes": {"accepted": 1, "refused": 1}}
    assert [error["reason"] for error in diagnostics["last_errors"]] == ["forbidden_words"]
    assert diagnostics["last_push"] is not None
    assert diagnostics["balance"]["last_update_success"] is True
    assert len(diagnostics["entry"]["subentries"]) == 2


@pytest.mark.parametrize("loaded", [True, False])
async def test_diagnostics_contain_no_secret(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    sandbox: Sandbox,
    *,
    hass_client: ClientSessionGenerator,
    loaded: bool,
) -> None:
    entry = make_entry(title="Familie Huber", options=REVEALING)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    alice = entry.subentries["alice"]
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, const.CONF_PERSON: "person.alice"})
    await receive(hass, entry, Reply(ALICE, "我在家"), Reply("13900000009", "你好"))
    # Each creates a repair.
    await receive(hass, entry, Reply(ALICE, "TD"), Reply("13900000009", "退订"))
    if not loaded:
        assert await hass.config_entries.async_unload(entry.entry_id)
    whole = await file_of(hass, entry, hass_client)
    diagnostics = whole["data"]
    text = json.dumps(diagnostics, ensure_ascii=False)
    secrets = [
        *(
            "homeuser",
            "s3cret-Passw0rd",
            entry.data[const.CONF_HTTP][const.CONF_PASSWORD_MD5],
            sandbox.url,
            "127.0.0.1",
        ),
        *("webhook-id-of-the-tests", "push-secret-of-the-tests", "proxypass", "192.0.2", "106900001680", "某某科技"),
        *("person.alice", ALICE, "13800000002", "13900000009", "我在家", "你好", "家中有警报", "芝麻开门"),
    ]
    names = ["Familie Huber", "Alice", "Bob"]
    assert [secret for secret in secrets + names if secret in text] == []
    # Home Assistant adds the active repairs with their names, as documented.
    assert [secret for secret in secrets if secret in json.dumps(whole, ensure_ascii=False)] == []
    assert ("sent" in diagnostics) is loaded


async def health(hass: HomeAssistant) -> dict[str, Any]:
    assert await async_setup_component(hass, "system_health", {})
    await hass.async_block_till_done()
    info: dict[str, Any] = await get_system_health_info(hass, "sms1680")
    return {key: await value if asyncio.iscoroutine(value) else value for key, value in info.items()}


async def test_system_health_shows_accounts_and_last_push(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await health(hass) == {"accounts": "1/1", "last_push": None, "gateway_reachable": "ok"}
    await receive(hass, entry, DeliveryReport("7", ALICE, "0"))
    last_push = (await health(hass))["last_push"]
    assert (dt_util.utcnow() - last_push).total_seconds() < 60


@pytest.mark.usefixtures("entry")
async def test_system_health_reports_an_unreachable_gateway(hass: HomeAssistant, make_entry: MakeEntry) -> None:
    make_entry(
        title="Other", http={const.CONF_GATEWAY: "http://127.0.0.1:1"}, webhook_id="another", push_secret="another"
    )
    shown = await health(hass)
    assert shown["accounts"] == "1/2"
    assert shown["gateway_reachable"] == {"type": "failed", "error": "unreachable"}
