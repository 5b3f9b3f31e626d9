"""Replies with line breaks: pages that show the address warn of them, and one click opens a port that takes them."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.sms1680 import const
from custom_components.sms1680.flows import own_port
from custom_components.sms1680.issues import REFUSED_PUSH
from tests.home_assistant.helpers import UPLINKS, WEBHOOK, MakeEntry

QUERY = "mobile=13800000001&content=one%0Atwo&xh="


pytestmark = pytest.mark.usefixtures("socket_enabled")


@pytest.fixture(autouse=True)
def _reachable(hass: HomeAssistant) -> None:
    hass.config.external_url = "https://home.example.com"


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> int:
    """Let the accounts choose from three ports, and return the first."""
    monkeypatch.setattr(own_port, "_PORTS", range(unused_tcp_port, unused_tcp_port + 3))
    return unused_tcp_port


async def push_line_break(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {UPLINKS}?{QUERY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer[9:12]


async def test_repair_of_a_rejected_reply_opens_a_port_that_takes_it(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    ports: int,
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    assert await async_setup_component(hass, "repairs", {})
    platform, person = await hass_client_no_auth(), await hass_client()
    assert (await platform.get(URL(f"{WEBHOOK}?{QUERY}", encoded=True))).status == 400
    await hass.async_block_till_done()
    issue_id = f"refused_push_{entry.entry_id}"
    flow = await person.post("/api/repairs/issues/fix", json={"handler": const.DOMAIN, "issue_id": issue_id})
    menu = await flow.json()
    assert (menu["type"], menu["menu_options"]) == ("menu", ["own_port", "close"])
    assert menu["description_placeholders"] == {"account": "Home"}

    step = f"/api/repairs/issues/fix/{menu['flow_id']}"
    shown = await (await person.post(step, json={"next_step_id": "own_port"})).json()
    await hass.async_block_till_done()
    assert shown["step_id"] == "own_port"
    assert shown["description_placeholders"]["port"] == str(ports)
    assert (
        f"http://home.example.com:{ports}/api/sms1680/push-secret-of-the-tests/"
        in shown["description_placeholders"]["letter"]
    )
    assert entry.options[const.CONF_LISTENER_PORT] == ports
    assert await push_line_break(ports) == b"200"
    await hass.async_block_till_done()
    assert [event.data["content"] for event in messages] == ["one\ntwo"]

    done = await (await person.post(step, json={})).json()
    assert done["type"] == "create_entry"
    assert ir.async_get(hass).issues == {}


@pytest.mark.parametrize("removed", [True, False])
async def test_repair_can_only_be_closed(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator, *, removed: bool
) -> None:
    """The account may be removed while the dialog is open."""
    assert await async_setup_component(hass, "repairs", {})
    REFUSED_PUSH.async_create(hass, entry)
    person = await hass_client()
    issue = {"handler": const.DOMAIN, "issue_id": f"refused_push_{entry.entry_id}"}
    menu = await (await person.post("/api/repairs/issues/fix", json=issue)).json()
    if removed:
        assert await hass.config_entries.async_remove(entry.entry_id)
    choice = {"next_step_id": "own_port" if removed else "close"}
    done = await (await person.post(f"/api/repairs/issues/fix/{menu['flow_id']}", json=choice)).json()
    assert done["type"] == "create_entry"
    assert ir.async_get(hass).issues == {}


async def test_options_open_a_port_that_nobody_uses(
    hass: HomeAssistant, make_entry: MakeEntry, entry: MockConfigEntry, ports: int
) -> None:
    """The first port belongs to another account, the second to another program, and one account is not loaded."""
    hass.config_entries.async_update_entry(entry, options={**entry.options, const.CONF_LISTENER_PORT: ports})
    await hass.async_block_till_done()
    other = make_entry(http={"product_id": "other"})
    other.add_to_hass(hass)
    with socket.socket() as program:
        program.bind(("", ports + 1))
        program.listen()
        menu = await hass.config_entries.options.async_init(other.entry_id)
        assert "own_port" in menu["menu_options"]
        shown = await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": "own_port"})
    assert shown["description_placeholders"]["port"] == str(ports + 2)
    assert await push_line_break(ports + 2) == b"200"
    menu = await hass.config_entries.options.async_configure(shown["flow_id"], {})
    assert (menu["type"], "own_port" in menu["menu_options"]) == ("menu", False)


async def test_port_is_named_in_a_repair_if_all_are_in_use(
    hass: HomeAssistant, entry: MockConfigEntry, ports: int
) -> None:
    programs = [socket.create_server(("", port)) for port in range(ports, ports + 3)]
    shown = await own_port.async_open_own_port(hass, entry)
    await hass.async_block_till_done()
    assert shown["port"] == str(ports)
    assert f"listener_port_{entry.entry_id}" in {issue for _, issue in ir.async_get(hass).issues}
    for program in programs:
        program.close()


@pytest.mark.parametrize(("language", "words"), [("en", "line break"), ("zh-Hans", "换行")])
def test_pages_with_the_address_warn_of_line_breaks(language: str, words: str) -> None:
    texts: dict[str, Any] = json.loads(
        (Path(const.__file__).parent / f"translations/{language}.json").read_text("utf-8")
    )
    recipient = texts["config_subentries"][const.SUBENTRY_RECIPIENT]["step"]
    shown = [texts["config"]["create_entry"][name] for name in ("letter", "letter_unreachable")]
    shown += [recipient[name]["description"] for name in ("letter", "letter_unreachable")]
    shown += [texts["options"]["step"][name]["description"] for name in ("letter", "letter_unreachable", "own_port")]
    for text in shown:
        assert words in text
