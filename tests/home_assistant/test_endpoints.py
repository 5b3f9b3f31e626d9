"""The addresses that the platform pushes to, over Home Assistant's real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from unittest.mock import patch
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request
from homeassistant.components.webhook import async_handle_webhook
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util.aiohttp import MockRequest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.sms1680.const import (
    CONF_KEEP_DAYS,
    CONF_NETWORKS,
    CONF_PUSH_ANSWER,
    CONF_PUSH_SECRET,
    CONF_REPEAT_WINDOW,
)
from custom_components.sms1680.inbound import endpoints, http_handler
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    PUSH_SECRET,
    REPORTS,
    UPLINKS,
    WEBHOOK,
    WEBHOOK_ID,
    MakeEntry,
    send_text,
    set_up_entry,
)

ADDRESSES = (WEBHOOK, REPORTS, UPLINKS)
UPLINK = "mobile=13800000001&content=" + quote("好的") + "&xh=12;"
REPORT = "msgid=0012&mobile=13800000001&status=0"


@pytest.fixture
async def http(entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> TestClient:  # noqa: ARG001
    """A client of Home Assistant's HTTP server, with the usual account set up."""
    return await hass_client_no_auth()


def raw(address: str, query: str) -> URL:
    return URL(f"{address}?{query}", encoded=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_address_accepts_uplinks_and_reports_by_get_and_post(
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
    assert message.data.pop("id")
    assert message.data == {
        "config_entry_id": entry.entry_id,
        "number": "13800000001",
        "content": "好的",
        "plain": "好的",
        "extension": "12",
        "recipient": "Alice",
        "subentry_id": "alice",
        "via": "webhook",
        "incomplete": False,
        "redelivered": False,
        "question": None,
        "answer": None,
        "tag": None,
        "already_answered": False,
        "alarm": None,
        "assist": False,
        "opted_out": False,
        "command": None,
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
        "automatic": False,
        "redelivered": False,
    }


async def test_sandbox_pushes_report_and_reply_to_the_webhook(
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
    (receipt,) = await send_text(entry.runtime_data.client, "13800000001", "后门打开")
    sandbox.platform.reply("13800000001", "1 谢谢")
    await sandbox.wait_for(lambda platform: platform.pushes.delivered == 2)
    await hass.async_block_till_done()
    assert [report.data["message_id"] for report in reports] == [receipt.message_id]
    assert [message.data["content"] for message in messages] == ["1 谢谢"]


async def test_addresses_survive_reload_and_end_with_removal(
    hass: HomeAssistant, entry: MockConfigEntry, http: TestClient, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == "0"
    assert len(messages) == 1
    assert await hass.config_entries.async_remove(entry.entry_id)
    assert (await http.get(raw(UPLINKS, UPLINK))).status == 404
    # Home Assistant's response for unknown webhooks.
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == ""
    assert len(messages) == 1


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("mobile=13800000001&content=" + quote("好的"), "好的"),
        ("mobile=13800000001&content=" + quote("好的".encode("gb18030")), "好的"),
        ("mobile=13800000001&content=" + quote(quote("好的")), "好的"),
        ("mobile=13800000001&content=1%2B1+%3D+2", "1+1 = 2"),
        ("mobile=13800000001&content=100%25", "100%"),
        ("mobile=13800000001&content=a%26b%3D1&xh=", "a&b=1"),
        ("mobile=13800000001&content=&xh=12;", ""),
        ("mobile=13800000001&content=" + quote("👍" * 20), "👍" * 20),
    ],
)
async def test_texts_reach_the_event_unchanged(
    http: TestClient, messages: list[Event], *, address: str, query: str, content: str
) -> None:
    assert (await http.get(raw(address, query))).status == 200
    assert (await http.post(address, data=query.encode())).status == 200
    assert [event.data["content"] for event in messages] == [content, content]


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "content=1",
        "mobile=13800000001",
        "mobile=&content=1",
        "mobile=13800000001&status=0",
        "mobile=13800000001&content=1&pad=" + "x" * 16_384,
        UPLINK + "&x=1" * 50,
        "mobile=" + "1" * 33 + "&content=1",
        "mobile=13800000001%00&content=1",
        "\udcff=%zz&&&=",
    ],
    ids=lambda fields: fields[:40],
)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_malformed_push_gets_400_and_is_logged_once(
    http: TestClient,
    *,
    messages: list[Event],
    reports: list[Event],
    caplog: pytest.LogCaptureFixture,
    address: str,
    fields: str,
) -> None:
    body = fields.encode("utf-8", "surrogateescape")
    caplog.clear()
    for _ in range(2):
        assert (await http.post(address, data=body)).status == 400
    assert (await http.get(raw(address, quote(body, safe="=&%")))).status == 400
    assert not messages + reports
    logged = (record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "asyncio")
    warnings = [record.getMessage() for record in logged]
    assert warnings == ["Rejected a push that is too large, or neither an uplink nor a delivery report (1 so far)"]


async def test_endless_body_is_cut_off(http: TestClient, messages: list[Event]) -> None:
    async def flood() -> AsyncIterator[bytes]:
        yield b"mobile=13800000001&content="
        for _ in range(100):
            yield b"x" * 65_536

    with contextlib.suppress(aiohttp.ClientError):
        async with http.post(WEBHOOK, data=flood()) as response:
            assert response.status == 400
    assert not messages


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 100\r\n", b"mobile=138"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nmobil\r\nZZ\r\n"),
        ("Content-Encoding: gzip\r\nContent-Length: 4\r\n", b"\x1f\x8bxx"),
    ],
)
async def test_truncated_body_logs_no_traceback(
    hass: HomeAssistant, http: TestClient, caplog: pytest.LogCaptureFixture, *, headers: str, body: bytes
) -> None:
    for address in (WEBHOOK, UPLINKS):
        reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
        writer.write(f"POST {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode() + body)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await hass.async_block_till_done()
    # aiohttp logs requests that it cannot parse. All other records come from Home Assistant or from our code.
    assert not [record for record in caplog.records if record.exc_info and record.name != "aiohttp.server"]
    assert PUSH_SECRET not in caplog.text


async def test_post_without_body_uses_the_query(http: TestClient, messages: list[Event]) -> None:
    assert await (await http.post(raw(WEBHOOK, UPLINK))).text() == "0"
    assert len(messages) == 1


@pytest.mark.parametrize(
    "address",
    [
        "/api/sms1680/another/1603/mo",
        f"/api/sms1680/{PUSH_SECRET}x/1603/mo",
        f"/api/sms1680/{PUSH_SECRET[:-1]}/1603/mr",
        f"/api/sms1680/{WEBHOOK_ID}/1603/mr",
        "/api/sms1680/%C3%A4/1603/mr",
        f"/api/sms1680/{PUSH_SECRET}/1603",
    ],
)
async def test_wrong_secret_gets_404(http: TestClient, messages: list[Event], address: str) -> None:
    for response in (await http.get(raw(address, UPLINK)), await http.post(address, data=UPLINK.encode())):
        assert response.status == 404
    assert not messages


async def test_secret_comparison_takes_constant_time(http: TestClient) -> None:
    with patch.object(endpoints.hmac, "compare_digest", wraps=endpoints.hmac.compare_digest) as compare:
        await http.get(raw(UPLINKS, UPLINK))
    assert [call.args for call in compare.call_args_list] == [(PUSH_SECRET.encode(), PUSH_SECRET.encode())]


async def test_renewed_secret_disables_old_addresses(
    hass: HomeAssistant, entry: MockConfigEntry, http: TestClient, messages: list[Event]
) -> None:
    renewed = {**entry.data, "webhook_id": "a-new-webhook-id", CONF_PUSH_SECRET: "a-new-secret"}
    hass.config_entries.async_update_entry(entry, data=renewed)
    await hass.async_block_till_done(wait_background_tasks=True)
    for old in ADDRESSES:
        assert await (await http.get(raw(old, UPLINK))).text() != "0"
    assert not messages
    for new in ("/api/webhook/a-new-webhook-id", "/api/sms1680/a-new-secret/1603/mr"):
        assert await (await http.get(raw(new, UPLINK))).text() == "0"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("address", ADDRESSES)
async def test_other_methods_get_405_and_log_no_secret(
    http: TestClient, messages: list[Event], caplog: pytest.LogCaptureFixture, *, address: str, method: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with http.request(method, address, data=UPLINK.encode()) as response:
        assert response.status == 405
    assert not messages
    for secret in (WEBHOOK_ID, PUSH_SECRET):
        assert secret not in caplog.text


async def test_response_text_is_configurable(
    hass: HomeAssistant, make_entry: MakeEntry, hass_client_no_auth: ClientSessionGenerator
) -> None:
    await set_up_entry(hass, make_entry(options={CONF_PUSH_ANSWER: "OK"}))
    http = await hass_client_no_auth()
    for address in ADDRESSES:
        response = await http.get(raw(address, REPORT))
        assert (response.status, response.content_type, await response.text()) == (200, "text/plain", "OK")


@pytest.mark.parametrize(
    ("networks", "remote", "status"),
    [
        (["192.0.2.0/24"], "192.0.2.7", 200),
        (["192.0.2.7"], "192.0.2.7", 200),
        (["192.0.2.0/24", "198.51.100.0/24"], "198.51.100.1", 200),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", 200),
        (["2001:db8::/32"], "2001:db8::1", 200),
        (["192.0.2.0/24"], "192.0.3.7", 403),
        (["192.0.2.0/24"], "2001:db8::1", 403),
        (["2001:db8::/32"], "192.0.2.7", 403),
        ([], "203.0.113.1", 200),
    ],
)
async def test_allowed_networks_apply_behind_a_trusted_proxy(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    networks: list[str],
    remote: str,
    status: int,
) -> None:
    proxy = {"use_x_forwarded_for": True, "trusted_proxies": ["127.0.0.1"]}
    assert await async_setup_component(hass, "http", {"http": proxy})
    await set_up_entry(hass, make_entry(options={CONF_NETWORKS: networks}))
    http = await hass_client_no_auth()
    for address in ADDRESSES:
        response = await http.get(raw(address, UPLINK), headers={"X-Forwarded-For": remote})
        assert response.status == status


async def test_forwarded_address_of_an_untrusted_proxy_is_rejected(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    messages: list[Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await set_up_entry(hass, make_entry(options={CONF_NETWORKS: ["192.0.2.0/24"]}))
    http = await hass_client_no_auth()
    for address in ADDRESSES:
        assert (await http.get(raw(address, UPLINK))).status == 403
        assert (await http.get(raw(address, UPLINK), headers={"X-Forwarded-For": "192.0.2.1"})).status == 400
    assert not messages
    assert caplog.text.count("Rejected a push from a network") == 1


@pytest.mark.parametrize(("networks", "status"), [([], 200), (["0.0.0.0/0"], 403)])
async def test_cloud_webhook_is_in_no_network(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event], *, networks: list[str], status: int
) -> None:
    await set_up_entry(hass, make_entry(options={CONF_NETWORKS: networks}))
    for _ in range(2):
        request = MockRequest(b"", "cloud", "GET", query_string=UPLINK)
        response = await async_handle_webhook(hass, WEBHOOK_ID, request)
        assert response.status == status
    assert [event.data["redelivered"] for event in messages] == ([False, True] if status == 200 else [])


async def test_unknown_remote_address_is_in_no_network(hass: HomeAssistant, make_entry: MakeEntry) -> None:
    entry = make_entry(options={CONF_NETWORKS: ["0.0.0.0/0", "::/0"]})
    await set_up_entry(hass, entry)
    request = make_mocked_request("GET", f"{WEBHOOK}?{UPLINK}").clone(remote="")  # the remote address of a Unix socket
    processor = async_get_registry(hass).async_get(entry)
    assert (await http_handler.async_handle_push(hass, processor, request, InboundSource.WEBHOOK)).status == 403


async def test_push_after_an_unwritten_response_is_a_repeat(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    hass_client_no_auth: ClientSessionGenerator,
    messages: list[Event],
) -> None:
    await set_up_entry(hass, make_entry(options={CONF_REPEAT_WINDOW: 0}))
    http = await hass_client_no_auth()
    with (
        patch.object(web.Response, "write_eof", side_effect=ConnectionResetError),
        contextlib.suppress(aiohttp.ClientError),
    ):
        await http.get(raw(WEBHOOK, UPLINK))
    for _ in range(3):
        assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == "0"
    assert [event.data["redelivered"] for event in messages] == [False, True, False, False]


async def test_push_fires_after_its_client_disconnected(
    hass: HomeAssistant, make_entry: MakeEntry, hass_client_no_auth: ClientSessionGenerator, messages: list[Event]
) -> None:
    entry = make_entry(options={CONF_KEEP_DAYS: 0})
    await set_up_entry(hass, entry)
    http = await hass_client_no_auth()
    assert await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(TimeoutError):
        await http.get(raw(WEBHOOK, UPLINK), timeout=aiohttp.ClientTimeout(total=0.2))
    await set_up_entry(hass, entry)
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == "0"
    assert [event.data["redelivered"] for event in messages] == [False, True]


@pytest.mark.parametrize(("keep_days", "status"), [(30, 200), (0, 503)])
async def test_push_during_unload_is_acknowledged_only_if_stored(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    messages: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    keep_days: int,
    status: int,
) -> None:
    monkeypatch.setattr(http_handler, "_PATIENCE", 0.0)
    entry = make_entry(options={CONF_KEEP_DAYS: keep_days})
    await set_up_entry(hass, entry)
    http = await hass_client_no_auth()
    assert await hass.config_entries.async_unload(entry.entry_id)
    for address in ADDRESSES:
        assert (await http.get(raw(address, UPLINK))).status == status
    await set_up_entry(hass, entry)
    assert [event.data["redelivered"] for event in messages] == [False, True, True]


async def test_accounts_do_not_share_repeats(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: MakeEntry, http: TestClient, *, messages: list[Event]
) -> None:
    other = make_entry(
        title="Other", http={"product_id": "2"}, webhook_id="another-webhook", push_secret="another-secret"
    )
    await set_up_entry(hass, other)
    assert await (await http.get(raw("/api/sms1680/another-secret/1/mo", UPLINK))).text() == "0"
    assert await (await http.get(raw(WEBHOOK, UPLINK))).text() == "0"
    assert [event.data["config_entry_id"] for event in messages] == [other.entry_id, entry.entry_id]
    assert not any(event.data["redelivered"] for event in messages)


async def test_logs_contain_no_address_number_or_text(http: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for address in ADDRESSES:
        for query in (UPLINK, REPORT, UPLINK + "%0A", UPLINK + "&x=../../etc", "x=1&" + UPLINK * 2000):
            await http.get(raw(address, query))
            await http.post(address, data=query.encode())
    for secret in (WEBHOOK_ID, PUSH_SECRET, "13800000001", quote("好的")):
        records = [record.name for record in caplog.records if secret in record.getMessage()]
        assert {name for name in records if name not in TEST_CLIENTS} == set()


async def test_logs_contain_nothing_of_pushes_to_old_addresses(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    http: TestClient,
    *,
    messages: list[Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    renewed = {**entry.data, "webhook_id": "a-new-webhook-id", CONF_PUSH_SECRET: "a-new-secret"}
    hass.config_entries.async_update_entry(entry, data=renewed)
    await hass.async_block_till_done(wait_background_tasks=True)
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    await push_everything(http)
    await hass.config_entries.async_remove(entry.entry_id)
    await push_everything(http)
    # A webhook id from before the start is unknown. The filter recognises such pushes by their fields.
    await http.get(raw("/api/webhook/an-older-one", f"{UPLINK}%0A"))
    await http.post("/api/webhook/an-older-one", data=UPLINK.encode())
    assert not messages
    for secret in (WEBHOOK_ID, PUSH_SECRET, "a-new-webhook-id", "13800000001", quote("好的")):
        records = [record.name for record in caplog.records if secret in record.getMessage()]
        assert {name for name in records if name not in TEST_CLIENTS} == set()
    assert "Filtered a request with unsafe byte query string: /api/webhook/****" in caplog.text
    assert ir.async_get(hass).issues == {}


async def push_everything(http: TestClient) -> None:
    for address in ADDRESSES:
        for query in (UPLINK, f"{UPLINK}%0A"):
            await http.get(raw(address, query))
            await http.post(address, data=query.encode())


async def test_logs_of_other_requests_stay_unchanged(http: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    assert (await http.get(raw("/api/webhook/another", "content=1%0A2"))).status == 400
    assert "unsafe byte query string: /api/webhook/another?content=1%0A2" in caplog.text


@pytest.mark.parametrize("address", ADDRESSES)
async def test_push_rejected_by_the_security_filter_raises_a_repair(
    hass: HomeAssistant, entry: MockConfigEntry, http: TestClient, *, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    for _ in range(2):
        assert (await http.get(raw(address, f"{UPLINK}%0A2"))).status == 400
    await hass.async_block_till_done()
    assert async_get_registry(hass).async_get(entry).counts == {"refused_by_home_assistant": 2}
    assert caplog.text.count("Home Assistant's security filter rejected a push") == 1
    (issue,) = ir.async_get(hass).issues.values()
    assert (issue.translation_key, issue.translation_placeholders) == ("refused_push", {"account": "Home"})
    assert await hass.config_entries.async_remove(entry.entry_id)
    assert ir.async_get(hass).issues == {}


TEST_CLIENTS = {"aiohttp.client", "asyncio"}
