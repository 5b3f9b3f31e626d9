"""Commands of an account's recipients: whose uplink is one, its code taken out before anybody sees it, and its verdict.

A code is seen by no store, no event and no log: what came in is without it from the moment at which it is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.const import CONF_PIN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from ..client import Reply
from ..const import CONF_COMMAND_WORDS, CONF_COMMANDS, CONF_TOTP_SECRET, DOMAIN
from ..issues import LOCKED_OUT
from .engine.commands import Attempt, Gate, Kept, Secret, Verdict, mask_codes, read_command, without_code

COMMANDS_NONE: Final = "none"
COMMANDS_PIN: Final = "pin"
COMMANDS_TOTP: Final = "totp"

_VERSION: Final = 1


def _now() -> float:
    return dt_util.utcnow().timestamp()


def secret_of(recipient: ConfigSubentry) -> Secret | None:
    """Return what a recipient proves commands with, None for one who may not command."""
    match recipient.data.get(CONF_COMMANDS):
        case "pin":
            return Secret("pin", recipient.data[CONF_PIN])
        case "totp":
            return Secret("totp", recipient.data[CONF_TOTP_SECRET])
        case _:
            return None


def take_code(entry: ConfigEntry[Any], recipient: ConfigSubentry | None, reply: Reply) -> tuple[Reply, Attempt | None]:
    """Return an uplink without a code, and the attempt at a command that it was, if it was one."""
    secret = secret_of(recipient) if recipient else None
    if secret is None:
        return reply, None
    attempt = read_command(reply.content, entry.options.get(CONF_COMMAND_WORDS) or (), secret)
    content = mask_codes(reply.content, secret, _now()) if attempt is None else without_code(attempt)
    return replace(reply, content=content), attempt


class Commands:
    """Judges the attempts of an account's recipients. What it knows of them outlives a restart."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self._store = _store(hass, entry.entry_id)
        self._gate = Gate(_now)

    async def async_load(self) -> None:
        """Take up what was kept."""
        self._gate = Gate(_now, await self._store.async_load())

    @callback
    def judge(self, recipient: ConfigSubentry, attempt: Attempt) -> Verdict:
        """Judge an attempt; a lock-out raises a repair, which the next command that is accepted lifts."""
        secret = secret_of(recipient)
        if secret is None:
            return Verdict.REFUSED
        verdict = self._gate.judge(recipient.subentry_id, secret, attempt)
        self._save()
        if verdict is Verdict.LOCKED_OUT:
            self._tell_locked_out(recipient)
        elif verdict is Verdict.ACCEPTED:
            LOCKED_OUT.async_delete(self._hass, self._entry, recipient.subentry_id)
        return verdict

    @callback
    def unlock(self, subentry_id: str) -> None:
        """Let a recipient try again."""
        self._gate.unlock(subentry_id)
        self._save()

    @callback
    def forget_gone(self) -> None:
        """Forget the recipients that are no more."""
        gone = self._gate.kept.keys() - self._entry.subentries.keys()
        for subentry_id in gone:
            del self._gate.kept[subentry_id]
        if gone:
            self._save()

    def _save(self) -> None:
        """Keep it at once: a code that was used must not work again after a power cut."""
        self._hass.async_create_task(self._store.async_save(self._gate.kept), f"{DOMAIN} commands")

    def _tell_locked_out(self, recipient: ConfigSubentry) -> None:
        until = self._gate.locked_until(recipient.subentry_id)
        if until is None:
            return
        LOCKED_OUT.async_create(
            self._hass,
            self._entry,
            recipient.subentry_id,
            data={"entry_id": self._entry.entry_id, "subentry_id": recipient.subentry_id},
            recipient=recipient.title,
            until=dt_util.as_local(dt_util.utc_from_timestamp(until)).strftime("%Y-%m-%d %H:%M"),
        )


async def async_unlock(hass: HomeAssistant, entry: ConfigEntry[Any], subentry_id: str) -> None:
    """Let a recipient try again, whether its account is set up now or not."""
    if entry.state is ConfigEntryState.LOADED:
        entry.runtime_data.conversation.commands.unlock(subentry_id)
        return
    store = _store(hass, entry.entry_id)
    gate = Gate(_now, await store.async_load())
    gate.unlock(subentry_id)
    await store.async_save(gate.kept)


async def async_remove_commands(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Forget what was kept of an account that is no more."""
    await _store(hass, entry.entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Kept]]:
    return Store(hass, _VERSION, f"{DOMAIN}.commands.{entry_id}", private=True, atomic_writes=True)
