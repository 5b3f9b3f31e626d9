"""Where a message stands, in words."""

from __future__ import annotations

from typing import Any

from homeassistant.core import HomeAssistant

from ..client import DeliveryReport, Reason
from ..errors import language
from ..store.db import DeliveryState, DeliveryUpdate, StoredOut

_EXPIRED = ("No delivery report came within 48 hours.", "48 小时内没有收到状态报告。")


def reason_sentence(hass: HomeAssistant, message: DeliveryUpdate | StoredOut) -> str | None:
    """Return why a message stands where it does, in Home Assistant's language; None where that needs no words."""
    spoken = language(hass)
    if message.state is DeliveryState.EXPIRED:
        return _EXPIRED[spoken == "zh"]
    if message.state in (DeliveryState.FAILED, DeliveryState.PENDING) and message.status is not None:
        return DeliveryReport("", message.number, message.status).sentence(spoken)
    if message.reason is not None and message.state is not DeliveryState.DELIVERED:
        return Reason(message.reason).sentence(spoken)
    return None


def state_response(hass: HomeAssistant, message: DeliveryUpdate | StoredOut) -> dict[str, Any]:
    """Return where a message stands, as actions answer it.

    matched: `id` where the platform's reports named the message, `number` where they could only be found to be its own
    by number and time, None before any came.
    """
    return {
        "state": message.state.value,
        "settled": message.settled,
        "reason": reason_sentence(hass, message),
        "matched": message.matched.value if message.matched else None,
    }
