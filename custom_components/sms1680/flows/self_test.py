"""One SMS to a recipient, and whether its delivery report and a reply to it find their way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util

from ..client import InvalidMessageError, Outcome, ReportState, SendError
from ..const import CONF_EXTENSION, CONF_NUMBER, signal_message, signal_report
from ..coordinator import Sms1680ConfigEntry
from ..errors import language

REPORT_PATIENCE: Final = 60.0  # seconds
REPLY_PATIENCE: Final = 180.0

# With its time, so that platforms which drop equal texts let a second test pass.
_TEXTS: Final = {
    "en": "Test from Home Assistant, {time}. Please answer 1.",
    "zh": "Home Assistant 测试 {time}，请回复 1。",
}


class SelfTest:
    """A test of one recipient. It hears reports and replies from `start` to `stop`."""

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, recipient: ConfigSubentry) -> None:
        self._hass = hass
        self._entry = entry
        self._recipient = recipient
        self._message_id: str | None = None
        self._reports: dict[str, dict[str, Any]] = {}
        self._reply = False
        self._heard = asyncio.Event()
        self._stop: list[Callable[[], None]] = []

    @callback
    def start(self) -> None:
        """Begin to hear: a report may come before the answer to the send."""
        entry_id = self._entry.entry_id
        self._stop = [
            async_dispatcher_connect(self._hass, signal_report(entry_id), self._hear_report),
            async_dispatcher_connect(self._hass, signal_message(entry_id), self._hear_reply),
        ]

    @callback
    def stop(self) -> None:
        """Hear no more."""
        while self._stop:
            self._stop.pop()()

    async def async_send(self) -> str | None:
        """Send the message; return in words why it was not simply accepted, or None."""
        spoken = language(self._hass)
        text = _TEXTS[spoken].format(time=dt_util.now().strftime("%H:%M:%S"))
        data = self._recipient.data
        try:
            receipts = await self._entry.runtime_data.client.send(
                data[CONF_NUMBER], text, extension=data.get(CONF_EXTENSION)
            )
        except SendError as error:
            receipts = error.receipts
        except InvalidMessageError as error:
            return error.sentence(spoken)
        (receipt,) = receipts
        self._message_id = receipt.message_id
        return None if receipt.outcome is Outcome.ACCEPTED else receipt.sentence(spoken)

    async def async_wait_for_report(self) -> bool:
        """Wait for a final delivery report; return whether one came."""
        return await self._wait(lambda: self._final_report() is not None, REPORT_PATIENCE)

    async def async_wait_for_reply(self) -> bool:
        """Wait for a reply; return whether one came."""
        return await self._wait(lambda: self._reply, REPLY_PATIENCE)

    @property
    def delivery_problem(self) -> str | None:
        """What the report said where the message did not arrive."""
        report = self._final_report()
        return None if report is None or report["state"] == ReportState.DELIVERED else report["reason"]

    def _final_report(self) -> dict[str, Any] | None:
        report = self._reports.get(self._message_id or "")
        return report if report and report["settled"] else None

    async def _wait(self, condition: Callable[[], bool], patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return False
        return True

    @callback
    def _hear_report(self, report: dict[str, Any]) -> None:
        self._reports[report["message_id"]] = report
        self._heard.set()

    @callback
    def _hear_reply(self, message: dict[str, Any]) -> None:
        # What comes again may be an answer to anything that was sent before.
        if message["number"] == self._recipient.data[CONF_NUMBER] and not message["redelivered"]:
            self._reply = True
            self._heard.set()
