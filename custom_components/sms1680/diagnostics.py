"""Diagnostics that are safe to share: counts, states and settings, but no number, text, address, secret or name."""

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PIN, CONF_USERNAME, CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant

from .const import (
    CONF_COMMAND_WORDS,
    CONF_FALLBACK,
    CONF_FALLBACK_ACTIONS,
    CONF_GATEWAY,
    CONF_LISTENER_PORT,
    CONF_NETWORKS,
    CONF_NUMBER,
    CONF_PASSWORD_MD5,
    CONF_PERSON,
    CONF_PROXY,
    CONF_PUSH_SECRET,
    CONF_SAFE_TEXT,
    CONF_SERVICE_ID,
    CONF_SHARED_STATE,
    CONF_SIGNATURE,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
    CONF_TOTP_SECRET,
)
from .coordinator import Sms1680ConfigEntry
from .inbound.registry import async_get_registry
from .store.manager import DATA_STORE

_REDACTED = {
    CONF_COMMAND_WORDS,
    CONF_FALLBACK,
    CONF_FALLBACK_ACTIONS,
    CONF_GATEWAY,
    CONF_NETWORKS,
    CONF_NUMBER,
    CONF_PASSWORD,
    CONF_PASSWORD_MD5,
    CONF_PERSON,
    CONF_PIN,
    CONF_PROXY,
    CONF_PUSH_SECRET,
    CONF_SAFE_TEXT,
    CONF_SHARED_STATE,
    CONF_SIGNATURE,
    CONF_SOURCE_NUMBER,
    CONF_TOTP_SECRET,
    CONF_USERNAME,
    CONF_WEBHOOK_ID,
    CONF_HOST,
    CONF_SERVICE_ID,
    CONF_SP_ID,
    # These contain the user name, or the name and number of a recipient.
    "title",
    "unique_id",
}


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> dict[str, Any]:
    """Return the diagnostics of an account."""
    receiver = async_get_registry(hass).processors.get(entry.entry_id)
    storage = hass.data[DATA_STORE]
    diagnostics: dict[str, Any] = {
        "entry": async_redact_data(entry.as_dict(), _REDACTED),
        "received": {
            "counts": dict(receiver.counts) if receiver else {},
            "waiting": receiver.waiting if receiver else 0,
            "own_port": bool(entry.options.get(CONF_LISTENER_PORT)),
        },
        "store": await storage.async_counts(entry),
    }
    if entry.state is ConfigEntryState.LOADED:
        diagnostics |= _runtime_diagnostics(entry)
    return diagnostics


def _runtime_diagnostics(entry: Sms1680ConfigEntry) -> dict[str, Any]:
    """Return the diagnostics that exist only while the entry is set up."""
    statistics, balance = entry.runtime_data.statistics, entry.runtime_data.coordinator
    connection = entry.runtime_data.health.connection
    return {
        "balance": balance and {"parts": balance.data, "last_update_success": balance.last_update_success},
        "connection": connection
        and {
            "connected": connection.connected,
            "reason": connection.reason.value if connection.reason else None,
            "status": connection.code,
            "detail": connection.detail,
            "retry_in": connection.retry_in,
        },
        "sent": {
            "messages": statistics.messages,
            "parts": statistics.parts,
            "spent": statistics.spent,
            "outcomes": {outcome.value: count for outcome, count in statistics.outcomes.items()},
        },
        "later": {"waiting": entry.runtime_data.deferred.waiting},
        "refused_words": len(entry.runtime_data.refused_words.words),
        "limits_reached": [reason.value for reason in entry.runtime_data.budget.reached_limits],
        "last_push": statistics.last_push.isoformat() if statistics.last_push else None,
        "last_errors": [{"at": at.isoformat(), "reason": reason.value} for at, reason in statistics.errors],
    }
