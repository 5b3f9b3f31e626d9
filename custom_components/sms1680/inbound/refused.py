"""Tells of pushes that Home Assistant's own server refused before any of us saw them: they are lost."""

from __future__ import annotations

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from ..const import DOMAIN
from .receiver import Receiver


def _issue(entry: ConfigEntry) -> str:
    return f"refused_push_{entry.entry_id}"


@callback
def async_tell_refused(hass: HomeAssistant, receiver: Receiver) -> None:
    """Count a push that was refused, and raise the repair that says how to have the next one."""
    receiver.warn("refused_by_home_assistant", "Home Assistant's own filter refused a push, which is lost; see repairs")
    ir.async_create_issue(
        hass,
        DOMAIN,
        _issue(receiver.entry),
        is_fixable=True,
        is_persistent=True,
        severity=ir.IssueSeverity.ERROR,
        translation_key="refused_push",
        translation_placeholders={"account": receiver.entry.title},
    )


@callback
def async_remove_refused(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Take back the repair of an account that is no more."""
    ir.async_delete_issue(hass, DOMAIN, _issue(entry))
