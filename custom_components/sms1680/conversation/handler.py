"""What an uplink is besides a message: an answer to a question, a word for opting out, a command."""

from __future__ import annotations

from secrets import randbelow
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from ..client import mask_number
from ..const import CONF_QUESTION_EXTENSIONS
from ..issues import OPTED_OUT
from .command_auth import Commands, secret_of
from .engine import Desk, ExtensionRange, Extensions, NoAnswer, is_opt_out
from .engine.commands import Attempt, Verdict
from .memory_store import async_memory, now

# Of an uplink's event, what the event of a command has too.
_COMMON: Final = (
    "config_entry_id",
    "id",
    "number",
    "recipient",
    "subentry_id",
    "content",
    "extension",
    "received_at",
    "via",
)


class Conversation:
    """The questions and commands of one account that is set up."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self.commands = Commands(hass, entry)
        self.desk = Desk(now)
        self._hass = hass
        self._entry = entry

    async def async_load(self) -> None:
        """Take up what was kept of commands and questions."""
        await self.commands.async_load()
        self.forget_gone()
        memory = await async_memory(self._hass, self._entry.entry_id)
        extensions = None
        if given := self._entry.options.get(CONF_QUESTION_EXTENSIONS):
            extension_range = ExtensionRange.parse(given)
            first = memory.next_extension
            extensions = Extensions(extension_range, randbelow(len(extension_range)) if first is None else first)
        self.desk = Desk(now, extensions, memory)

    @callback
    def forget_gone(self) -> None:
        """Forget the recipients that are no more."""
        self.commands.forget_gone()

    @callback
    def end(self) -> None:
        """End the open questions of an account that is unloaded; when Home Assistant stops it ends who asked itself."""
        if not self._hass.is_stopping:
            self.desk.end_all(NoAnswer.UNLOADED)

    @callback
    def hear(
        self, message: dict[str, Any], recipient: ConfigSubentry | None, attempt: Attempt | None, *, elsewhere: bool
    ) -> dict[str, Any] | None:
        """Tell in an uplink's event what else it is; return the event of a command that was accepted.

        What came again or late, or without its end, is nothing else. elsewhere: the extension is somebody's, and no
        question's.
        """
        message |= dict.fromkeys(("question", "answer", "tag", "command"))
        message["already_answered"] = False
        message["opted_out"] = is_opt_out(message["content"])
        if message["opted_out"]:
            self._tell_opted_out(message, recipient)
        elif message["redelivered"] or message["incomplete"]:
            return None
        elif attempt is not None and recipient is not None:
            return self._judge(message, recipient, attempt)
        elif heard := self.desk.hear(message["number"], message["extension"], message["content"], elsewhere=elsewhere):
            message |= {
                "question": "over" if heard.over else "answered",
                "answer": heard.id,
                "tag": heard.tag,
                "already_answered": heard.already,
            }
        return None

    def _judge(self, message: dict[str, Any], recipient: ConfigSubentry, attempt: Attempt) -> dict[str, Any] | None:
        verdict = self.commands.judge(recipient, attempt)
        message["command"] = verdict.value
        secret = secret_of(recipient)
        if verdict is not Verdict.ACCEPTED or secret is None:
            return None
        common = {name: message[name] for name in _COMMON}
        return {**common, "word": attempt.word, "text": attempt.text, "proof": secret.kind}

    def _tell_opted_out(self, message: dict[str, Any], recipient: ConfigSubentry | None) -> None:
        """Raise a repair: one a recipient, and one for all other numbers, of which anyone could send in any amount."""
        who = recipient.title if recipient else mask_number(message["number"])
        OPTED_OUT.async_create(self._hass, self._entry, message["subentry_id"], who=who)
