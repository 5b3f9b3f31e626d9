"""Recognise and authenticate the commands of an account's recipients.

The code is removed from an uplink as soon as it is recognised, so that it appears in no store, no event and no log.
"""

from dataclasses import replace
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.const import CONF_PIN
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import Reply
from ..const import CONF_ASSIST, CONF_COMMAND_WORDS, CONF_COMMANDS, CONF_TOTP_SECRET, DOMAIN
from ..issues import LOCKED_OUT, SHORT_PIN
from ..recipients import Directory, recipients
from ..store.cached_store import CachedStore
from .engine.commands import (
    AuthResult,
    AuthState,
    CommandAttempt,
    CommandAuthenticator,
    Secret,
    is_pin,
    mask_codes,
    mask_codes_of_others,
    read_command,
    read_question,
    without_code,
)
from .memory_store import now

COMMANDS_NONE: Final = "none"
COMMANDS_PIN: Final = "pin"
COMMANDS_TOTP: Final = "totp"

_VERSION: Final = 1


def secret_of(recipient: ConfigSubentry) -> Secret | None:
    """Return a recipient's secret for commands, None if commands are off."""
    match recipient.data.get(CONF_COMMANDS):
        case "pin":
            return Secret("pin", recipient.data[CONF_PIN])
        case "totp":
            return Secret("totp", recipient.data[CONF_TOTP_SECRET])
        case _:
            return None


def extract_command(
    entry: ConfigEntry[Any], directory: Directory, recipient: ConfigSubentry | None, reply: Reply
) -> tuple[Reply, CommandAttempt | None]:
    """Return an uplink without codes, and the attempt in it, if any: a command, or a text to Assist.

    The codes are removed from the rest of a command, too. In a text from another number, those of all recipients are.
    directory: the account's.
    """
    secret = secret_of(recipient) if recipient else None
    if secret is None:
        if (secrets := directory.secrets) is None:
            secrets = directory.secrets = list(filter(None, map(secret_of, directory.all)))
        return (replace(reply, content=mask_codes_of_others(reply.content, secrets, now())) if secrets else reply), None
    attempt = read_command(reply.content, entry.options.get(CONF_COMMAND_WORDS) or (), secret, now())
    if attempt is not None:
        return replace(reply, content=without_code(attempt)), attempt
    if recipient is not None and recipient.data.get(CONF_ASSIST):
        attempt = read_question(reply.content, secret, now())
    return replace(reply, content=mask_codes(reply.content, secret, now())), attempt


class Commands:
    """Authenticates the commands of an account's recipients. Its state survives restarts."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self._store = _store(hass, entry.entry_id)
        self._authenticator = CommandAuthenticator(now)

    async def async_load(self) -> None:
        """Load the stored state."""
        self._authenticator = CommandAuthenticator(now, await self._store.async_load())

    async def async_authenticate(self, recipient: ConfigSubentry, attempt: CommandAttempt) -> AuthResult:
        """Authenticate an attempt. Return when the use of its code is on the disk, so that no crash makes it valid."""
        result = self._authenticate(recipient, attempt)
        await self._store.async_save(self._authenticator.states)
        return result

    @callback
    def authenticate(self, recipient: ConfigSubentry, attempt: CommandAttempt) -> AuthResult:
        """Authenticate an attempt, and save the use of its code soon."""
        result = self._authenticate(recipient, attempt)
        self._save()
        return result

    def _authenticate(self, recipient: ConfigSubentry, attempt: CommandAttempt) -> AuthResult:
        """Authenticate an attempt. A lock-out raises a repair, and the next accepted command deletes it."""
        secret = secret_of(recipient)
        if secret is None:
            return AuthResult.REFUSED
        result = self._authenticator.authenticate(recipient.subentry_id, secret, attempt)
        until = self._authenticator.locked_until(recipient.subentry_id)
        if result is AuthResult.LOCKED_OUT and until is not None:
            LOCKED_OUT.async_create(
                self._hass,
                self._entry,
                recipient.subentry_id,
                data={"entry_id": self._entry.entry_id, "subentry_id": recipient.subentry_id},
                recipient=recipient.title,
                until=dt_util.as_local(dt_util.utc_from_timestamp(until)).strftime("%Y-%m-%d %H:%M"),
            )
        elif result is AuthResult.ACCEPTED:
            LOCKED_OUT.async_delete(self._hass, self._entry, recipient.subentry_id)
        return result

    @callback
    def unlock(self, subentry_id: str) -> None:
        """End a recipient's lock-out."""
        self._authenticator.unlock(subentry_id)
        self._save()

    @callback
    def remove_stale(self) -> None:
        """Delete the state of removed recipients, and ask to change PINs that are shorter than a new one may be."""
        for recipient in recipients(self._entry):
            secret = secret_of(recipient)
            if secret is not None and secret.kind == "pin" and not is_pin(secret.value):
                SHORT_PIN.async_create(self._hass, self._entry, recipient.subentry_id, recipient=recipient.title)
            else:
                SHORT_PIN.async_delete(self._hass, self._entry, recipient.subentry_id)
        removed = self._authenticator.states.keys() - self._entry.subentries.keys()
        for subentry_id in removed:
            del self._authenticator.states[subentry_id]
        if removed:
            self._save()

    def _save(self) -> None:
        """Save immediately: a used code must not work again after a power failure."""
        self._hass.async_create_task(self._store.async_save(self._authenticator.states), f"{DOMAIN} commands")


async def async_unlock(hass: HomeAssistant, entry: ConfigEntry[Any], subentry_id: str) -> None:
    """End a recipient's lock-out, whether its account is set up or not."""
    if entry.state is ConfigEntryState.LOADED:
        entry.runtime_data.conversation.commands.unlock(subentry_id)
        return
    store = _store(hass, entry.entry_id)
    authenticator = CommandAuthenticator(now, await store.async_load())
    authenticator.unlock(subentry_id)
    await store.async_save(authenticator.states)


async def async_remove_commands(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Delete the state of a removed account."""
    await _store(hass, entry.entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> CachedStore[dict[str, AuthState]]:
    return CachedStore.of(hass, _VERSION, f"{DOMAIN}.commands.{entry_id}", private=True)
