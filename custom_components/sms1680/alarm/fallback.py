"""What comes next where a message does not get through: another account, other entities, actions, in this order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.script import Script, async_validate_actions_config
from homeassistant.util import dt as dt_util

from ..client import Outcome, Receipt
from ..const import DOMAIN
from ..delivery import Options, one_text
from ..failures import invalid, language
from ..targets import Receiver, receiver_of_entity
from .insistence import Fallback, Insistence
from .sending import DONE, async_try
from .wishes import async_quiet_until, insistence_of

_LOGGER = logging.getLogger(__name__)

_FAILED: Final = "failed"
_UNAVAILABLE: Final = "unavailable"
_QUIET: Final = "quiet_hours"
_ACTIONS: Final = "actions"
# A copy of a message that may have arrived says so itself.
_MAY_BE_A_REPEAT: Final = {"en": "(May be a repeat) ", "zh": "（可能重复）"}


@dataclass(frozen=True, repr=False)
class Missed:
    """A message that did not get through to one receiver. why: its outcome, or what was reported of it."""

    receiver: Receiver
    text: str
    why: str
    reason: str | None = None

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"Missed({self.why})"

    @classmethod
    def of(cls, receiver: Receiver, receipt: Receipt, text: str) -> Missed:
        """Return what a receipt tells of."""
        return cls(receiver, text, receipt.outcome.value, receipt.reason.value if receipt.reason else None)


@dataclass(frozen=True)
class Next:
    """Runs one fallback. options: of the message. context: for whose rights it runs. doubtful: it may have arrived."""

    hass: HomeAssistant
    fallback: Fallback
    options: Options
    context: Context
    doubtful: bool = False

    async def async_run(self, missed: Sequence[Missed]) -> list[list[dict[str, str]]]:
        """Go on with messages until something takes them; returns for each the steps that were taken for it."""
        steps: list[list[dict[str, str]]] = [[] for _ in missed]
        left = list(range(len(missed)))
        if self.fallback.account:
            outcomes = await self._by_account(self.fallback.account, [missed[place] for place in left])
            for place, outcome in zip(left, outcomes, strict=True):
                steps[place].append({"to": self.fallback.account, "outcome": outcome})
            left = [place for place, outcome in zip(left, outcomes, strict=True) if outcome != Outcome.ACCEPTED.value]
        for entity_id in self.fallback.entities:
            if not left:
                return steps
            outcome = await self._to_entity(entity_id, [missed[place] for place in left])
            for place in left:
                steps[place].append({"to": entity_id, "outcome": outcome})
            if outcome in (Outcome.ACCEPTED.value, DONE):
                left = []
        if left and self.fallback.actions:
            outcome = await self._by_actions([missed[place] for place in left])
            for place in left:
                steps[place].append({"to": _ACTIONS, "outcome": outcome})
        return steps

    async def _by_account(self, entry_id: str, missed: Sequence[Missed]) -> list[str]:
        """Send each message to its own number through another account."""
        entry = self.hass.config_entries.async_get_entry(entry_id)
        if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
            return [_UNAVAILABLE] * len(missed)
        outcomes = [_FAILED] * len(missed)
        for text in dict.fromkeys(one.text for one in missed):
            places = [place for place, one in enumerate(missed) if one.text == text]
            receivers = [replace(missed[place].receiver, entry=entry, extension=None) for place in places]
            for place, outcome in zip(places, await self._send(receivers, text), strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _to_entity(self, entity_id: str, missed: Sequence[Missed]) -> str:
        """Send what was missed to a notify entity: a recipient of ours, or any other integration's."""
        text = "\n".join(dict.fromkeys(one.text for one in missed))
        try:
            found = receiver_of_entity(self.hass, entity_id)
        except ServiceValidationError:
            return _UNAVAILABLE  # its account is not running
        if found is not None:
            receiver = found[1]
            if any((one.receiver.entry, one.receiver.number) == (receiver.entry, receiver.number) for one in missed):
                return _FAILED  # it is the one that was missed
            if self.options.priority == "normal" and await async_quiet_until(receiver, dt_util.utcnow()):
                return _QUIET
            return (await self._send([receiver], text))[0]
        state = self.hass.states.get(entity_id)
        if state is None or state.state == STATE_UNAVAILABLE:
            return _UNAVAILABLE  # Home Assistant would take the message and let it vanish
        data = {"entity_id": entity_id, "message": self._marked(text)}
        return await self._call(
            self.hass.services.async_call("notify", "send_message", data, blocking=True, context=self.context),
            entity_id,
        )

    async def _by_actions(self, missed: Sequence[Missed]) -> str:
        """Run a sequence of actions, with the message and whom it missed as variables."""

        async def run() -> None:
            sequence = cv.SCRIPT_SCHEMA([dict(action) for action in self.fallback.actions])
            sequence = await async_validate_actions_config(self.hass, sequence)
            script = Script(self.hass, sequence, f"{DOMAIN} fallback", DOMAIN)
            variables: dict[str, Any] = {
                "message": self._marked("\n".join(dict.fromkeys(one.text for one in missed))),
                "recipients": [one.receiver.name for one in missed],
                "numbers": [one.receiver.number for one in missed],
                "outcomes": [one.why for one in missed],
                "reasons": [one.reason for one in missed],
            }
            await script.async_run(variables, self.context)

        return await self._call(run(), _ACTIONS)

    async def _send(self, receivers: Sequence[Receiver], text: str) -> list[str]:
        options = replace(self.options, at=None, extension=None)
        safe_texts = [insistence_of(receiver).safe_text for receiver in receivers]
        items = [(receiver, None) for receiver in receivers]
        try:
            sent = await async_try(self.hass, items, one_text(self._marked(text)), options, safe_texts)
        except ServiceValidationError as error:
            _LOGGER.warning("A message could not go on to its fallback: %s", error.translation_key)
            return [_FAILED] * len(receivers)
        return [one.receipt.outcome.value for one in sent]

    async def _call(self, calling: Any, what: str) -> str:  # noqa: ANN401 - an awaitable of whatever
        try:
            await calling
        except Exception as error:  # noqa: BLE001 - whatever it is, the next one has its turn
            # Its kind only: what others raise may quote the message.
            _LOGGER.warning("The fallback %s failed with %s", what, type(error).__name__)
            return _FAILED
        return DONE

    def _marked(self, text: str) -> str:
        return _MAY_BE_A_REPEAT[language(self.hass)] + text if self.doubtful else text


def check_fallback(hass: HomeAssistant, insistence: Insistence) -> None:
    """Look before anything is sent whether what was named can come next. Raises ServiceValidationError."""
    fallback = insistence.fallback
    if not fallback:
        return
    entities = er.async_get(hass)
    missing = [
        entity_id
        for entity_id in fallback.entities
        if hass.states.get(entity_id) is None and entities.async_get(entity_id) is None
    ]
    if fallback.account and not _is_account(hass, fallback.account):
        missing.append(fallback.account)
    if missing:
        raise invalid("unknown_fallback", fallback=", ".join(missing))


def _is_account(hass: HomeAssistant, entry_id: str) -> bool:
    entry = hass.config_entries.async_get_entry(entry_id)
    return entry is not None and entry.domain == DOMAIN
