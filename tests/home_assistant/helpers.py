"""Helpers that the integration's tests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Unpack

from homeassistant.config_entries import ConfigSubentryDataWithId
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.sms1680.account.messages import TextMessage
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Call, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS

if TYPE_CHECKING:
    from freezegun.api import FrozenDateTimeFactory
    from homeassistant.core import Event, HomeAssistant

    from custom_components.sms1680.account.journal import JournaledClient
    from custom_components.sms1680.client import Receipt
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
SIGNED = "【某某科技】"
BOTH = ("http", "cmpp")

ALICE = "13800000001"
BOB = "13800000002"
CAROL = "13800000003"
ALICE_NOW = "13900000099"  # her new number
STRANGER = "13900000009"

QUIET = {"quiet_from": "22:00:00", "quiet_to": "07:00:00", "time_zone": "UTC"}
EVENING = "2026-01-05 23:30:00+00:00"
UNREACHABLE = "http://127.0.0.1:9"  # nothing listens on this port


async def send_text(
    client: JournaledClient, numbers: str | list[str], text: str, **options: Unpack[SendOptions]
) -> list[Receipt]:
    """Send one text by an account's client; return the receipts."""
    message = TextMessage([numbers] if isinstance(numbers, str) else numbers, text)
    return [result.receipt for result in await client.send(message, options)]


def recipient(name: str, number: str, **more: Any) -> ConfigSubentryDataWithId:
    """Return a recipient as an entry stores it."""
    data = {"number": number, **more}
    return ConfigSubentryDataWithId(
        data=data, subentry_id=name.lower(), subentry_type="recipient", title=name, unique_id=number
    )


def sent(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the number and the unsigned text of each message that the platform accepted."""
    return [(message.number, message.text.removeprefix(SIGNED)) for message in sandbox.platform.messages]


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
    return [(one.translation_placeholders or {})["who"] for one in issues if one.translation_key == "delayed_lost"]


def store_of(hass: HomeAssistant) -> MessageStore:
    """Return the store of the queued messages."""
    return hass.data[DATA_STORE].durable.store


def in_store(hass: HomeAssistant, sql: str = "SELECT row, going FROM later") -> list[Any]:
    """Return the result of a query in the store."""
    return store_of(hass)._writer.submit(lambda database: database.execute(sql).fetchall()).result(10)
