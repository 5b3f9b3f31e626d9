"""A Home Assistant whose doors are tried, for the matrix of outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import persistent_notification
from homeassistant.core import Context, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from support.matrix import Cell

from custom_components.sms1680 import const
from sms1680.sandbox import Sandbox
from sms1680.sandbox.records import State
from tests.home_assistant.helpers import ALICE

DOORS = (
    ("notify entity", "通知实体"),
    ("`sms1680.send_message`", "`sms1680.send_message`"),
    ("`alert:` through `notify:` in YAML, critical", "`alert:` 经 YAML 的 `notify:`，紧急"),
    ("deferred (`keep_trying`)", "持续重试（`keep_trying`）"),
)
NOTIFY, ACTION, ALERT, DEFERRED = range(4)
NO_LIMITS = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)


@dataclass
class House:
    """A Home Assistant with one account, and what it fires. own_ids: the account uses the ids of the platform."""

    hass: HomeAssistant
    entry: MockConfigEntry
    sandbox: Sandbox
    fired: dict[str, list[Event]]
    caplog: pytest.LogCaptureFixture
    freezer: FrozenDateTimeFactory | None = None
    caller: Context | None = None
    own_ids: bool = True

    async def idle(self) -> None:
        """Wait until the reports are pushed and all is handled, those of a message sent once more too."""
        known = -1
        while known != len(self.sandbox.platform.messages):
            await self.hass.async_block_till_done(wait_background_tasks=True)
            known = len(self.sandbox.platform.messages)
            await self.sandbox.wait_for(
                lambda platform: (
                    platform.pushes.waiting == 0
                    and (
                        platform.phone(ALICE).report_status is None
                        or all(message.state is not State.SENT for message in platform.messages)
                    )
                )
            )
            await self.hass.async_block_till_done(wait_background_tasks=True)

    async def later(self, **how_much: float) -> None:
        """Advance the time and run what is due."""
        passed = timedelta(**how_much)
        assert self.freezer is not None
        self.freezer.tick(passed)
        async_fire_time_changed(self.hass, dt_util.utcnow() + passed)
        await self.idle()

    async def options(self, **options: Any) -> None:
        """Change options of the account."""
        self.hass.config_entries.async_update_entry(self.entry, options={**self.entry.options, **options})
        await self.idle()

    async def alice(self, **settings: Any) -> None:
        """Change the settings of the recipient."""
        subentry = self.entry.subentries["alice"]
        self.hass.config_entries.async_update_subentry(self.entry, subentry, data={"number": ALICE, **settings})
        await self.idle()

    def clean(self, *, keep: bool) -> None:
        """Forget what happened. keep: the repairs of the store and of the account, which last for all doors."""
        self.sandbox.platform.messages.clear()
        for events in self.fired.values():
            events.clear()
        self.caplog.clear()
        for (domain, issue_id), issue in list(ir.async_get(self.hass).issues.items()):
            key = issue.translation_key or ""
            lasts = key.startswith("connection_") or (keep and key.startswith(("store_", "problem_")))
            if domain == const.DOMAIN and not lasts:
                ir.async_delete_issue(self.hass, domain, issue_id)
        persistent_notification.async_dismiss_all(self.hass)

    async def send(self, door: int, text: str) -> bool:
        """Send a text; return whether an error was raised."""
        services = self.hass.services
        if door == ALERT:
            self.hass.states.async_set("binary_sensor.door", "on", {"text": text})
            await self.hass.async_block_till_done(wait_background_tasks=True)
            self.hass.states.async_set("binary_sensor.door", "off")
            await self.hass.async_block_till_done(wait_background_tasks=True)
            return False
        domain, name, data = {
            NOTIFY: ("notify", "send_message", {"entity_id": "notify.alice"}),
            ACTION: ("sms1680", "send_message", {"number": ALICE}),
            DEFERRED: ("sms1680", "send_message", {"number": ALICE, "keep_trying": {"hours": 1}}),
        }[door]
        try:
            await services.async_call(domain, name, {**data, "message": text}, blocking=True, context=self.caller)
        except HomeAssistantError:
            return True
        return False

    def observe(self, *, raised: bool, waited: bool) -> Cell:
        """Return what the phone got, what was fired and what a person sees."""
        issues = [
            issue.translation_key
            for issue in ir.async_get(self.hass).issues.values()
            if issue.domain == const.DOMAIN and issue.active
        ]
        notices = persistent_notification._async_get_or_create_notifications(self.hass)
        logged = [
            record
            for record in self.caplog.records
            if record.levelname in {"WARNING", "ERROR"}
            and record.name.split(".")[0] != "asyncio"
            and ".store" not in record.name  # it logs a fault of the disk once, and has a repair
        ]
        seen = [
            *(["error"] if raised else []),
            *sorted({str(key) for key in issues}),
            *(["notification"] if notices else []),
            *(["log"] if logged and not raised else []),
        ]
        messages = self.sandbox.platform.messages
        ids = {None, *(message.message_id for message in messages)}  # not those of an earlier cell
        told = [
            f"{one.data['cause']}: {one.data['reason']}" if one.data["reason"] else one.data["cause"]
            for one in self.fired["failed"]
            if not self.own_ids or one.data["message_id"] in ids
        ]
        phone = sum(message.state in {State.SENT, State.DELIVERED} for message in messages)
        held = any(message.state is State.HELD for message in messages)
        if waited:
            why = next((one.data["reason"] for one in self.fired["sent"] if one.data["delayed_until"]), None)
            told.insert(0, f"waiting: {why}" if why else "waiting")
        told = list(dict.fromkeys(told))
        return Cell(phone, tuple(told), tuple(seen), held)


async def set_up_alert(hass: HomeAssistant) -> None:
    """Set up the YAML platform, and an alert that notifies by it."""
    line = {"platform": "sms1680", "name": "line", "account": "Home", "recipients": ["Alice"]}
    assert await async_setup_component(hass, "notify", {"notify": [line]})
    alert = {
        "name": "Door",
        "message": "{{ state_attr('binary_sensor.door', 'text') }}",
        "entity_id": "binary_sensor.door",
        "repeat": 600,
        "notifiers": ["line"],
        "data": {"priority": "critical"},
    }
    assert await async_setup_component(hass, "alert", {"alert": {"door": alert}})
    await hass.async_block_till_done()
