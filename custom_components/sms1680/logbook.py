"""Describe the integration's events in the logbook: one row for each reply, report, failure and step of an alarm.

Numbers are masked. The text of a reply is shown only if the account stores texts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from homeassistant.const import Platform
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .client import mask_number
from .const import (
    ATTR_CONFIG_ENTRY_ID,
    DOMAIN,
    EVENT_ALARM,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_FAILED,
    EVENT_MESSAGE_RECEIVED,
)
from .errors import language
from .store.manager import stores_texts

type _Row = dict[str, Any]

# The keys of a row, which the component `logbook` defines. Importing it would need the recorder.
_NAME: Final = "name"
_MESSAGE: Final = "message"
_ENTITY_ID: Final = "entity_id"
_ICON: Final = "icon"

_SMS_TO: Final = ("SMS to {}:", "发给 {} 的短信：")
_REPORTS: Final = {
    "delivered": ("delivered", "已送达"),
    "pending": ("on its way", "发送中"),
    "failed": ("not delivered", "未送达"),
}
_ALARM_STEPS: Final = {
    "raised": ("raised: {message}", "触发：{message}"),
    "added": ("raised again (×{count})", "再次触发（第 {count} 次）"),
    "handed_over": ("shift change, to {members}", "换班，通知{members}"),
    "escalated": ("nobody took it, to {members}", "无人接手，通知{members}"),
    "escalated_to_all": ("nobody took it, to everyone", "无人接手，通知全部成员"),
    "repeated": ("repeated to {members}", "再次通知{members}"),
    "passed_on": ("passed on by {by} to {members}", "{by}转给{members}"),
    "snoozed": ("snoozed by {by}", "{by}稍后处理"),
    "acknowledged": ("taken by {by}", "{by}已接手"),
    "unanswered": ("nobody took it", "无人接手，不再通知"),
    "resolved": ("resolved", "已结束"),
}
_ALARM_OF: Final = ("Alarm {} of {}", "{1}的报警 {0}")
_SOMEBODY: Final = ("somebody at Home Assistant", "Home Assistant 的用户")
_ICONS: Final = {"delivered": "mdi:message-check", "pending": "mdi:message-arrow-right"}


@callback
def async_describe_events(
    hass: HomeAssistant, async_describe_event: Callable[[str, str, Callable[[Event], _Row]], None]
) -> None:
    """Register the descriptions."""
    zh = language(hass) == "zh"

    @callback
    def describe_received(event: Event) -> _Row:
        data = event.data
        known = data.get("recipient") is not None
        said = ("replied", "回复") if known else ("sent an SMS", "发来短信")
        message = said[zh]
        entry = hass.config_entries.async_get_entry(data.get(ATTR_CONFIG_ENTRY_ID) or "")
        if entry is not None and stores_texts(entry) and data.get("content"):
            message += f"{'：' if zh else ': '}{data['content']}"
        return {_NAME: _who(data), _MESSAGE: message, _ICON: "mdi:message-reply-text", **_entity(hass, data)}

    @callback
    def describe_report(event: Event) -> _Row:
        data = event.data
        state = data.get("state", "failed")
        message = _with_reason(_REPORTS.get(state, _REPORTS["failed"])[zh], data.get("reason"), zh=zh)
        icon = _ICONS.get(state, "mdi:message-alert")
        return {_NAME: _SMS_TO[zh].format(_who(data)), _MESSAGE: message, _ICON: icon, **_entity(hass, data)}

    @callback
    def describe_failed(event: Event) -> _Row:
        data = event.data
        message = _with_reason(_REPORTS["failed"][zh], data.get("problem"), zh=zh)
        row = {_NAME: _SMS_TO[zh].format(_who(data)), _MESSAGE: message, _ICON: "mdi:message-alert"}
        return {**row, **_entity(hass, data)}

    @callback
    def describe_alarm(event: Event) -> _Row:
        data = event.data
        entry = hass.config_entries.async_get_entry(data.get(ATTR_CONFIG_ENTRY_ID) or "")
        shows_text = entry is not None and stores_texts(entry)
        words = {
            "message": data.get("message") if shows_text else "…",
            "count": data.get("count"),
            "members": ("、" if zh else ", ").join(data.get("members", ())) or "-",
            "by": data.get("by") or _SOMEBODY[zh],
        }
        message = _ALARM_STEPS.get(data.get("step", ""), ("?", "?"))[zh].format(**words)
        name = _ALARM_OF[zh].format(data.get("number"), data.get("group") or "?")
        return {_NAME: name, _MESSAGE: message, _ICON: "mdi:bell-alert", **_entity(hass, data, "alarms")}

    async_describe_event(DOMAIN, EVENT_ALARM, describe_alarm)
    async_describe_event(DOMAIN, EVENT_MESSAGE_RECEIVED, describe_received)
    async_describe_event(DOMAIN, EVENT_DELIVERY_REPORT, describe_report)
    async_describe_event(DOMAIN, EVENT_MESSAGE_FAILED, describe_failed)


def _who(data: Mapping[str, Any]) -> str:
    """Return the name of the recipient, or the masked number."""
    return str(data.get("recipient") or mask_number(data.get("number", "")))


def _with_reason(result: str, reason: str | None, *, zh: bool) -> str:
    if not reason:
        return result
    return f"{result}（{reason.rstrip('。')}）" if zh else f"{result} ({reason.rstrip('.')})"


def _entity(hass: HomeAssistant, data: Mapping[str, Any], key: str = "messages") -> _Row:
    """Return the event entity of the recipient or group, which the row links to."""
    unique_id = f"{data.get(ATTR_CONFIG_ENTRY_ID)}_{data.get('subentry_id')}_{key}"
    entity_id = er.async_get(hass).async_get_entity_id(Platform.EVENT, DOMAIN, unique_id)
    return {_ENTITY_ID: entity_id} if entity_id else {}
