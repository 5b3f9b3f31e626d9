"""Where a message stands, in words."""

from __future__ import annotations

from typing import Any

from homeassistant.core import HomeAssistant

from ..client import DeliveryReport, Reason
from ..errors import language
from ..store.db import Change, ProofState, StoredOut

_EXPIRED = ("No delivery report came within 48 hours.", "48 小时内没有收到状态报告。")


def reason_sentence(hass: HomeAssistant, message: Change | StoredOut) -> str | None:
    """Return why a message stands where it does, in Home Assistant's language; None where that needs no words."""
    spoken = language(hass)
    if message.state is ProofState.EXPIRED:
        return _EXPIRED[spoken == "zh"]
    if message.state in (ProofState.FAILED, ProofState.PENDING) and message.status is not None:
        return DeliveryReport("", message.number, message.status).sentence(spoken)
    if message.reason is not None and message.state is not ProofState.DELIVERED:
        return Reason(message.reason).sentence(spoken)
    return None


def state_response(hass: HomeAssistant, message: Change | StoredOut) -> dict[str, Any]:
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
