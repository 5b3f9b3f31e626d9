"""Describe the integration's events in the logbook: one row for each reply, delivery report and failure.

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


def _entity(hass: HomeAssistant, data: Mapping[str, Any]) -> _Row:
    """Return the recipient's event entity, which the row links to."""
    unique_id = f"{data.get(ATTR_CONFIG_ENTRY_ID)}_{data.get('subentry_id')}_messages"
    entity_id = er.async_get(hass).async_get_entity_id(Platform.EVENT, DOMAIN, unique_id)
    return {_ENTITY_ID: entity_id} if entity_id else {}
