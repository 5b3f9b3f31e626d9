"""Interpret uplinks: as an answer to a question, a request to opt out, or a command."""

import asyncio
import re
from collections.abc import Callable
from secrets import randbelow
from typing import Any, Final, Protocol

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import Context, HomeAssistant, callback

from ..client import mask_number
from ..const import CONF_QUESTION_EXTENSIONS
from ..issues import OPTED_OUT
from .command_auth import Commands, secret_of
from .engine import ExtensionRange, Extensions, NoAnswer, PromptState, QuestionManager, is_opt_out
from .engine.commands import AuthResult, CommandAttempt
from .engine.texts import OPT_OUT
from .memory_store import async_get_history, now

_NUMBER: Final = re.compile(r"\+?[0-9]{5,20}")
# The fields that the events of an uplink and of its command share.
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
# The fields of an uplink that has no meaning for us.
_NO_MEANING: Final = {
    **dict.fromkeys(("question", "answer", "tag", "command")),
    "already_answered": False,
    "alarm": None,
    "assist": False,
}


def _shown_number(number: str) -> str:
    """Return a number of a push masked. One that is no number could be a link to click: nothing of it is shown."""
    return mask_number(number) if _NUMBER.fullmatch(number) else mask_number("")


class AlarmReplies(Protocol):
    """The open alarms of an account, which replies can be about."""

    def process_reply(
        self, message: dict[str, Any], is_question_open: Callable[[str], bool]
    ) -> asyncio.Future[None] | None:
        """Apply a reply to its alarm and add that to the event data; return None if it is about no alarm.

        is_question_open: returns whether a question without an extension of its own waits for a reply of a number. The
        result is done as soon as the alarm is stored.
        """


class AssistTexts(Protocol):
    """The texts of an account's recipients to Assist."""

    def accept(
        self, message: dict[str, Any], recipient: ConfigSubentry, attempt: CommandAttempt | None
    ) -> Callable[[Context], None] | None:
        """Return the function that asks Assist and sends the answer; return None if the text is not for Assist.

        The function takes the context of the uplink's event. attempt: the text without its code, and the code.
        """

    def start(self) -> None:
        """Inform those whose texts an earlier run did not answer."""


class Conversation:
    """The questions and commands of one account while it is set up.

    alarms, assist: None until they are loaded. storing: done as soon as the alarm that the last uplink changed is
    stored. ask: sends the last uplink to Assist, None if it is not for Assist.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self.commands = Commands(hass, entry)
        self.questions = QuestionManager(now)
        self.alarms: AlarmReplies | None = None
        self.assist: AssistTexts | None = None
        self.storing: asyncio.Future[None] | None = None
        self.ask: Callable[[Context], None] | None = None
        self._hass = hass
        self._entry = entry

    async def async_load(self) -> None:
        """Load the stored state of commands and questions."""
        _, history = await asyncio.gather(
            self.commands.async_load(), async_get_history(self._hass, self._entry.entry_id)
        )
        self.commands.remove_stale()
        extensions = None
        if given := self._entry.options.get(CONF_QUESTION_EXTENSIONS):
            extension_range = ExtensionRange.parse(given)
            first = history.next_extension
            extensions = Extensions(extension_range, randbelow(len(extension_range)) if first is None else first)
        self.questions = QuestionManager(now, extensions, history)

    @callback
    def end(self) -> None:
        """End the open questions when the account unloads. When Home Assistant stops, their actions end them."""
        if not self._hass.is_stopping:
            self.questions.end_all(NoAnswer.UNLOADED)

    @callback
    def process_uplink(
        self,
        message: dict[str, Any],
        recipient: ConfigSubentry | None,
        attempt: CommandAttempt | None,
        result: AuthResult | None = None,
        *,
        foreign: bool,
    ) -> dict[str, Any] | None:
        """Add the meaning of an uplink to its event data. Return the event of a command if it was accepted.

        Redelivered and incomplete uplinks are neither answers nor commands. result: of `async_authenticate`. foreign:
        the extension is known, but not as a question's.
        """
        message |= _NO_MEANING
        self.storing = self.ask = None
        command = attempt if attempt is not None and attempt.word else None
        message["opted_out"] = message["plain"] in OPT_OUT
        if message["opted_out"]:
            # One repair per recipient, and a single one for unknown numbers, which anyone can send from.
            who = recipient.title if recipient else _shown_number(message["number"])
            OPTED_OUT.async_create(self._hass, self._entry, message["subentry_id"], who=who)
        elif (command is None and self._is_about_alarm(message)) or message["redelivered"] or message["incomplete"]:
            return None
        elif command is not None and recipient is not None:
            return self._command(message, recipient, command, result or self.commands.authenticate(recipient, command))
        else:
            match = self.questions.match_reply(
                message["number"], message["extension"], message["content"], foreign=foreign
            )
            # Any text fits a question without given answers; once it is over, a text with a code is meant for Assist.
            is_for_assist = match is None or (match.over and match.id is None and attempt is not None)
            if self.assist is not None and recipient is not None and is_for_assist:
                self.ask = self.assist.accept(message, recipient, attempt)
                message["assist"] = self.ask is not None
            if match is None or self.ask is not None:
                return None
            message |= {
                "question": "over" if match.over else "answered",
                "answer": match.id,
                "tag": match.tag,
                "already_answered": match.already,
            }
        return None

    def _is_about_alarm(self, message: dict[str, Any]) -> bool:
        """Apply a reply to its alarm; one that was stored before a restart counts, too. Return whether it is one."""
        if self.alarms is None or message["incomplete"]:
            return False
        self.storing = self.alarms.process_reply(message, self._is_question_open)
        return self.storing is not None

    def _is_question_open(self, number: str) -> bool:
        prompts = self.questions.open_prompts(number)
        return any(one.state is PromptState.OPEN and not one.by_extension for one in prompts)

    async def async_authenticate(
        self, content: str, recipient: ConfigSubentry | None, attempt: CommandAttempt
    ) -> AuthResult | None:
        """Authenticate the command in an uplink that was received completely and for the first time.

        A text to Assist is authenticated later: it can be an answer to a question, which needs no code.
        """
        if recipient is None or not attempt.word or is_opt_out(content):
            return None
        return await self.commands.async_authenticate(recipient, attempt)

    def _command(
        self, message: dict[str, Any], recipient: ConfigSubentry, attempt: CommandAttempt, result: AuthResult
    ) -> dict[str, Any] | None:
        message["command"] = result.value
        secret = secret_of(recipient)
        if result is not AuthResult.ACCEPTED or secret is None:
            return None
        common = {name: message[name] for name in _COMMON}
        return {**common, "word": attempt.word, "text": attempt.text, "proof": secret.kind}
