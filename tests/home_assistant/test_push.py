"""The addresses that the platform pushes to, over Home Assistant's real HTTP server."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from homeassistant.core import Event, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.sms1680.const import EVENT_DELIVERY_REPORT, EVENT_MESSAGE_RECEIVED
from sms1680.sandbox import Sandbox

WEBHOOK_ID = "webhook-id-of-the-tests"
PUSH_SECRET = "push-secret-of-the-tests"
WEBHOOK = f"/api/webhook/{WEBHOOK_ID}"
REPORTS = f"/api/sms1680/{PUSH_SECRET}/1603/mr"
UPLINKS = f"/api/sms1680/{PUSH_SECRET}/1603/mo"
ADDRESSES = (WEBHOOK, REPORTS, UPLINKS)
UPLINK = "mobile=13800000001&content=" + quote("好的") + "&xh=12;"
REPORT = "msgid=0012&mobile=13800000001&status=0"


@pytest.fixture
async def http(entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> TestClient:  # noqa: ARG001
    """A client of Home Assistant's HTTP server, with the usual account set up."""
    return await hass_client_no_auth()


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, EVENT_MESSAGE_RECEIVED)


@pytest.fixture
def reports(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, EVENT_DELIVERY_REPORT)


def raw(address: str, query: str) -> URL:
    return URL(f"{address}?{query}", encoded=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", ADDRESSES)
async def test_both_kinds_on_each_address_by_both_methods(
    http: TestClient, entry: MockConfigEntry, messages: list[Event], reports: list[Event], *, address: str, method: str
) -> None:
    for fields in (UPLINK, REPORT):
        if method == "GET":
            response = await http.get(raw(address, fields))
        else:
            response = await http.post(address, data=fields.encode())
        assert (response.status, response.content_type, await response.text()) == (200, "text/plain", "0")
    (message,) = messages
    received_at = message.data.pop("received_at")
    assert received_at.endswith("+00:00")
    assert len(message.data.pop("id")) == 26
    assert message.data == {
        "config_entry_id": entry.entry_id,
        "number": "13800000001",
        "content": "好的",
        "extension": "12",
        "recipient": "Alice",
        "subentry_id": "alice",
        "via": "webhook",
        "incomplete": False,
        "redelivered": False,
    }
    (report,) = reports
    assert report.data == {
        "config_entry_id": entry.entry_id,
        "message_id": "0012",
        "number": "13800000001",
        "recipient": "Alice",
        "subentry_id": "alice",
        "status": "0",
        "state": "delivered",
        "settled": True,
        "reason": None,
        "redelivered": False,
    }


async def test_the_platform_pushes_after_a_send_and_a_reply(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    http: TestClient,
    sandbox: Sandbox,
    *,
    messages: list[Event],
    reports: list[Event],
) -> None:
    account = sandbox.platform.accounts["homeuser"]
    account.report_address = str(http.make_url(WEBHOOK))
    account.uplink_address = str(http.make_url(UPLINKS))
    (receipt,) = await entry.runtime_data.client.send("13800000001", "后门打开")
    sandbox.platform.reply("13800000001", "1 谢谢")
    await sandbox.wait_for(lambda platform: platform.pushes.delivered == 2)
    await hass.async_block_till_done()
    assert [report.data["message_id"] for report in reports] == [receipt.message_id]
    assert [message.data["content"] for message in messages] == ["1 谢谢"]


async def test_a_reload_keeps_the_addresses_and_a_removal_ends_them(
    hass: HomeAssistant, entry: MockConfigEntry, http: TestClient, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == "0"
    assert len(messages) == 1
    assert await hass.config_entries.async_remove(entry.entry_id)
    assert (await http.get(raw(UPLINKS, UPLINK))).status == 404
    # What Home Assistant says of any webhook that it does not know.
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == ""
    assert len(messages) == 1
