"""The delivery state of a message, as a sentence and as an action response."""

from typing import Any

from homeassistant.core import HomeAssistant

from ..client import DeliveryReport, Reason
from ..errors import language
from ..store.db import DeliveryState, DeliveryUpdate, StoredOut

_CANCELLED = ("It was cancelled before it was sent.", "已取消，没有发出。")
_MAY_BE_CANCELLED = ("The platform did not answer whether it cancelled the message.", "平台没有答复是否已取消该短信。")
_EXPIRED = ("No delivery report came within 48 hours.", "48 小时内没有收到状态报告。")


def reason_sentence(hass: HomeAssistant, message: DeliveryUpdate | StoredOut) -> str | None:
    """Return the reason of a message's state in Home Assistant's language, None if the state needs no explanation."""
    lang = language(hass)
    if message.state is DeliveryState.EXPIRED:
        return _EXPIRED[lang == "zh"]
    if message.state in (DeliveryState.FAILED, DeliveryState.PENDING) and message.status is not None:
        return DeliveryReport("", message.number, message.status).sentence(lang)
    if message.reason is Reason.CANCELLED and message.state is not DeliveryState.DELIVERED:
        sentences = _CANCELLED if message.state is DeliveryState.NOT_SENT else _MAY_BE_CANCELLED
        return sentences[lang == "zh"]
    if message.reason is not None and message.state is not DeliveryState.DELIVERED:
        return Reason(message.reason).sentence(lang)
    return None


def state_response(hass: HomeAssistant, message: DeliveryUpdate | StoredOut) -> dict[str, Any]:
    """Return the delivery state of a message as the response of an action.

    matched: `id` if the reports carry the id of the message, `number` if they were assigned to it by number and time,
    None before the first report.
    """
    return {
        "state": message.state.value,
        "settled": message.settled,
        "reason": reason_sentence(hass, message),
        "matched": message.matched.value if message.matched else None,
    }
