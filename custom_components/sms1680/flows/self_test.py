"""A test message to a recipient, to check that its delivery report and a reply arrive."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..account.messages import TextMessage
from ..client import InvalidMessageError, Outcome, ReportState
from ..const import CONF_EXTENSION, CONF_NUMBER, EVENT_DELIVERY_REPORT, EVENT_MESSAGE_RECEIVED
from ..coordinator import Sms1680ConfigEntry
from ..errors import language
from ..events.signals import async_listen

REPORT_TIMEOUT: Final = 60.0  # seconds
REPLY_TIMEOUT: Final = 180.0

# The time makes each text unique: some platforms drop equal texts.
_TEXTS: Final = {
    "en": "Test from Home Assistant, {time}. Please answer 1.",
    "zh": "Home Assistant 测试 {time}，请回复 1。",
}


class SelfTest:
    """A test of one recipient. It receives reports and replies between `start` and `stop`."""

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, recipient: ConfigSubentry) -> None:
        self._hass = hass
        self._entry = entry
        self._recipient = recipient
        self._message_id: str | None = None
        self._reports: dict[str, dict[str, Any]] = {}
        self._replied = False
        self._changed = asyncio.Event()
        self._unsubscribe: list[Callable[[], None]] = []

    @callback
    def start(self) -> None:
        """Subscribe to reports and replies. A report can arrive before the response to sending."""
        entry_id = self._entry.entry_id
        self._unsubscribe = [
            async_listen(self._hass, EVENT_DELIVERY_REPORT, self._on_report, entry_id),
            async_listen(self._hass, EVENT_MESSAGE_RECEIVED, self._on_reply, entry_id),
        ]

    @callback
    def stop(self) -> None:
        """Unsubscribe."""
        while self._unsubscribe:
            self._unsubscribe.pop()()

    async def async_send(self) -> str | None:
        """Send the message; return a sentence if it was not accepted, otherwise None."""
        lang = language(self._hass)
        text = _TEXTS[lang].format(time=dt_util.now().strftime("%H:%M:%S"))
        data = self._recipient.data
        try:
            (result,) = await self._entry.runtime_data.client.send(
                TextMessage([data[CONF_NUMBER]], text), {"extension": data.get(CONF_EXTENSION)}
            )
        except InvalidMessageError as error:
            return error.sentence(lang)
        receipt = result.receipt
        self._message_id = receipt.message_id
        return None if receipt.outcome is Outcome.ACCEPTED else receipt.sentence(lang)

    async def async_wait_for_report(self) -> bool:
        """Wait for a final delivery report; return whether it arrived."""
        return await self._wait(lambda: self._final_report() is not None, REPORT_TIMEOUT)

    async def async_wait_for_reply(self) -> bool:
        """Wait for a reply; return whether it arrived."""
        return await self._wait(lambda: self._replied, REPLY_TIMEOUT)

    @property
    def delivery_problem(self) -> str | None:
        """The reason in the delivery report if the message was not delivered."""
        report = self._final_report()
        return None if report is None or report["state"] == ReportState.DELIVERED else report["reason"]

    def _final_report(self) -> dict[str, Any] | None:
        report = self._reports.get(self._message_id or "")
        return report if report and report["settled"] else None

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    @callback
    def _on_report(self, report: dict[str, Any]) -> None:
        self._reports[report["message_id"]] = report
        self._changed.set()

    @callback
    def _on_reply(self, message: dict[str, Any]) -> None:
        # A repeated push may be a reply to an earlier message.
        if message["number"] == self._recipient.data[CONF_NUMBER] and not message["redelivered"]:
            self._replied = True
            self._changed.set()
