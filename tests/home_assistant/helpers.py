"""Helpers that the integration's tests share."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Unpack

import pytest
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, ConfigSubentryDataWithId
from homeassistant.data_entry_flow import section
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.sms1680.account.messages import TextMessage
from custom_components.sms1680.client import DeliveryReport
from custom_components.sms1680.const import DOMAIN
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.manager import DATA_STORE
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from sms1680.sandbox import Call, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS

if TYPE_CHECKING:
    from concurrent.futures import Future

    from freezegun.api import FrozenDateTimeFactory
    from homeassistant.config_entries import ConfigFlowResult, SubentryFlowResult
    from homeassistant.core import Event, HomeAssistant

    from custom_components.sms1680.account.journal import JournaledClient
    from custom_components.sms1680.client import Receipt, Reply
    from custom_components.sms1680.client.options import SendOptions
    from custom_components.sms1680.store.db import MessageStore

MakeEntry = Callable[..., MockConfigEntry]
SetUp = Callable[[MockConfigEntry], Awaitable[None]]
Connect = Callable[[], Awaitable[None]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

USERNAME = "homeuser"
PASSWORD = "s3cret-Passw0rd"
PRODUCT = "61341"
SP_ID = "901680"
SOURCE_NUMBER = "106900001680"
WEBHOOK_ID = "webhook-id-of-the-tests"
PUSH_SECRET = "push-secret-of-the-tests"
WEBHOOK = f"/api/webhook/{WEBHOOK_ID}"
REPORTS = f"/api/sms1680/{PUSH_SECRET}/1603/mr"
UPLINKS = f"/api/sms1680/{PUSH_SECRET}/1603/mo"
SIGNED = "【某某科技】"
BOTH = ("http", "cmpp")

ALICE = "13800000001"
BOB = "13800000002"
CAROL = "13800000003"
ALICE_NOW = "13900000099"  # her new number
STRANGER = "13900000009"

with_triggers = pytest.mark.skipif(not SUPPORTS_TRIGGERS, reason="Custom triggers need Home Assistant 2025.12 or later")

QUIET = {"quiet_from": "22:00:00", "quiet_to": "07:00:00", "time_zone": "UTC"}
EVENING = "2026-01-05 23:30:00+00:00"
UNREACHABLE = "http://127.0.0.1:9"  # nothing listens on this port


class Ask:
    """Runs commands over one connection."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def __call__(self, command: str, **data: Any) -> Any:
        answer = await self._ask(command, data)
        assert answer["success"], answer["error"]
        return answer["result"]

    async def refused(self, command: str, **data: Any) -> Any:
        answer = await self._ask(command, data)
        assert not answer["success"], answer
        return answer["error"]

    async def _ask(self, command: str, data: dict[str, Any]) -> Any:
        await self.client.send_json_auto_id({"type": f"sms1680/{command}", **data})
        return await self.client.receive_json()


MakeUser = Callable[[str, dict[str, Any]], Awaitable[Ask]]


async def send_text(
    client: JournaledClient, numbers: str | list[str], text: str, **options: Unpack[SendOptions]
) -> list[Receipt]:
    """Send one text by an account's client; return the receipts."""
    message = TextMessage([numbers] if isinstance(numbers, str) else numbers, text)
    return [result.receipt for result in await client.send(message, options)]


async def act(hass: HomeAssistant, action: str, **data: Any) -> dict[str, Any]:
    """Call an action of the integration and return its response."""
    response = await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)
    assert isinstance(response, dict)
    return response


async def send(hass: HomeAssistant, **data: Any) -> list[dict[str, Any]]:
    """Call the action `send_message` and return the messages of its response."""
    messages = (await act(hass, "send_message", **{"message": "门开了", **data}))["messages"]
    assert isinstance(messages, list)
    return messages


async def send_to_alice(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    """Send one message, to Alice by default, and return it from the response."""
    [message] = await send(hass, **{"entity_id": "notify.alice", **data})
    assert isinstance(message, dict)
    return message


async def get_messages(hass: HomeAssistant, **data: Any) -> list[dict[str, Any]]:
    """Call the action `get_messages` and return the messages of its response."""
    messages = (await act(hass, "get_messages", **data))["messages"]
    assert isinstance(messages, list)
    return messages


async def notify(hass: HomeAssistant, *entity_ids: str, message: str = "门开了", **data: Any) -> None:
    """Send to entities with Home Assistant's action `notify.send_message`."""
    given = {"entity_id": list(entity_ids), "message": message, **data}
    await hass.services.async_call("notify", "send_message", given, blocking=True)


def start_question(hass: HomeAssistant, *entity_ids: str, **data: Any) -> asyncio.Task[Any]:
    """Start the action `ask_question` in the background."""
    given = {"question": "要关上车库门吗？", "answers": [{"id": "yes"}, {"id": "no"}], "timeout": 20, **data}
    if entity_ids:
        given["entity_id"] = list(entity_ids)
    return hass.async_create_task(act(hass, "ask_question", **given), eager_start=True)


async def receive(
    hass: HomeAssistant, entry: MockConfigEntry, *items: Reply | DeliveryReport, settle: bool = True
) -> None:
    """Receive replies and delivery reports by webhook; with `settle`, wait until Home Assistant is idle."""
    processor = async_get_registry(hass).async_get(entry)
    for item in items:
        (await processor.async_receive(item, InboundSource.WEBHOOK, 1)).mark_acknowledged()
    if settle:
        await hass.async_block_till_done()


async def set_up_entry(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Set an account up and wait until Home Assistant is idle."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)


async def enter(hass: HomeAssistant, result: ConfigFlowResult, given: dict[str, Any]) -> ConfigFlowResult:
    """Submit a form of the configuration flow and wait until Home Assistant is idle."""
    result = await hass.config_entries.flow.async_configure(result["flow_id"], given)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


def letter_in_form(result: Mapping[str, Any]) -> str:
    """Return the letter to the platform's staff in the field of a form."""
    (field,) = result["data_schema"].schema
    return str(field.description["suggested_value"])


async def start_recipient(
    hass: HomeAssistant, entry: MockConfigEntry, subentry_id: str | None = None
) -> SubentryFlowResult:
    """Start the flow that adds a recipient, or changes the given one."""
    context: Any = {"source": SOURCE_USER}
    if subentry_id is not None:
        context = {"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id}
    return await hass.config_entries.subentries.async_init((entry.entry_id, "recipient"), context=context)


async def enter_recipient(hass: HomeAssistant, result: SubentryFlowResult, given: dict[str, Any]) -> SubentryFlowResult:
    """Submit a form of a recipient's flow, each field in its section, and wait until Home Assistant is idle."""
    schema = result.get("data_schema")
    sections = {str(key): value for key, value in schema.schema.items() if isinstance(value, section)} if schema else {}
    section_of = {str(field): name for name, value in sections.items() for field in value.schema.schema}
    entered: dict[str, Any] = {}
    for name, value in given.items():
        (entered.setdefault(section_of[name], {}) if name in section_of else entered)[name] = value
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], entered)
    await hass.async_block_till_done()
    return result


async def poll(condition: Callable[[], object]) -> None:
    """Run the event loop until the condition is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event announces the change
            await asyncio.sleep(0)


async def wait_for_messages(sandbox: Sandbox, count: int = 1) -> list[tuple[str, str]]:
    """Wait until the platform has this many messages; return their numbers and unsigned texts."""
    await sandbox.wait_for(lambda platform: len(platform.messages) >= count)
    return sent(sandbox)


def done(future: Future[Any]) -> Any:
    """Return the result of a store's future."""
    return future.result(10)


def recipient(name: str, number: str, **more: Any) -> ConfigSubentryDataWithId:
    """Return a recipient as an entry stores it."""
    data = {"number": number, **more}
    return ConfigSubentryDataWithId(
        data=data, subentry_id=name.lower(), subentry_type="recipient", title=name, unique_id=number
    )


def duty_group(
    name: str = "Watch", members: tuple[str, ...] = ("alice", "bob"), **more: Any
) -> ConfigSubentryDataWithId:
    """Return a duty group as an entry stores it."""
    times = {"next_after": 5, "all_after": 5, "repeat_every": 10, "repeat_for": 60}
    data = {"members": list(members), "rota": "always", **times, **more}
    return ConfigSubentryDataWithId(
        data=data, subentry_id=name.lower(), subentry_type="group", title=name, unique_id=None
    )


def sent(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the number and the unsigned text of each message that the platform accepted."""
    return [(message.number, message.text.removeprefix(SIGNED)) for message in sandbox.platform.messages]


def numbers(sandbox: Sandbox) -> list[str]:
    """Return the sorted numbers of the messages that the platform accepted."""
    return sorted(message.number for message in sandbox.platform.messages)


async def later(hass: HomeAssistant, freezer: FrozenDateTimeFactory, **how_much: float) -> None:
    """Advance the time and run what is due."""
    freezer.tick(timedelta(**how_much))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)


async def use_gateway(hass: HomeAssistant, entry: MockConfigEntry, gateway: str) -> None:
    """Change the gateway of an account, which reloads it."""
    data = {**entry.data, "http": {**entry.data["http"], "gateway": gateway}}
    hass.config_entries.async_update_entry(entry, data=data)
    await hass.async_block_till_done(wait_background_tasks=True)


def cut_off(sandbox: Sandbox) -> None:
    """Make the platform accept the next message and drop the response."""

    def choose(call: Call) -> Fault | None:
        if call is not Call.SEND:
            return None
        sandbox.platform.faults.choose = None
        return PRESETS["drop_after"]

    sandbox.platform.faults.choose = choose


def ends(events: list[Event]) -> list[tuple[str, str | None]]:
    """Return the outcome and the reason of each event."""
    return [(event.data["outcome"], event.data["reason"]) for event in events]


def repairs(hass: HomeAssistant) -> list[str]:
    """Return the names in the repairs of lost messages."""
    issues = ir.async_get(hass).issues.values()
    return [
        (one.translation_placeholders or {})["who"]
        for one in issues
        if (one.translation_key or "").startswith("delayed_")
    ]


def store_of(hass: HomeAssistant) -> MessageStore:
    """Return the store of the queued messages."""
    return hass.data[DATA_STORE].durable.store


def in_store(hass: HomeAssistant, sql: str = "SELECT row, going FROM later") -> list[Any]:
    """Return the result of a query in the store."""
    return store_of(hass)._writer.submit(lambda database: database.execute(sql).fetchall()).result(10)


async def refuse_long_texts(hass: HomeAssistant) -> None:
    """Let all accounts refuse texts that are too long, instead of cutting them."""
    for entry in hass.config_entries.async_entries("sms1680"):
        hass.config_entries.async_update_entry(entry, options={**entry.options, "long_text": "refuse"})
    await hass.async_block_till_done(wait_background_tasks=True)


def fail_next(sandbox: Sandbox, preset: str) -> None:
    """Make the next message end in this way."""
    if preset == "no_balance":
        sandbox.platform.accounts["homeuser"].balances["61341"] = 0
    elif preset == "review":
        sandbox.platform.review_words = ["门开了"]
    else:
        sandbox.platform.faults.next(preset)


async def send_to_number(hass: HomeAssistant, number: str = ALICE, **data: Any) -> None:
    """Send a text by the action, whatever its outcome."""
    given = {"number": number, "message": "门开了", **data}
    await hass.services.async_call("sms1680", "send_message", given, blocking=True, return_response=True)
    await hass.async_block_till_done(wait_background_tasks=True)


async def push_report(
    hass: HomeAssistant, entry: MockConfigEntry, message_id: str, status: str, number: str = ALICE
) -> None:
    """Receive a delivery report."""
    await receive(hass, entry, DeliveryReport(message_id, number, status))
    await hass.async_block_till_done(wait_background_tasks=True)


def critical_repairs(hass: HomeAssistant) -> list[ir.IssueEntry]:
    """Return the repairs of undelivered critical messages."""
    issues = ir.async_get(hass).issues.values()
    return [issue for issue in issues if issue.translation_key == "critical_failed" and issue.active]


def named_in_digest(text: str) -> Counter[str]:
    """Return the names in a digest and how often each one occurs; what is only counted has the name “”."""
    body = re.fullmatch(r"另有 \d+ 条：(.*?)(?:等其他 (\d+) 条)?（[^（]*）", text)
    assert body is not None, text
    counts: Counter[str] = Counter({"": int(body.group(2) or 0)})
    for part in body.group(1).split("、"):
        name, _, count = part.partition("×")
        counts[name] += int(count or 1)
    return +counts
