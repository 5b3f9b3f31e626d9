"""Collect conversations, messages and accounts for the page, as a user may see them."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..account.delivery_state import reason_sentence
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_CMPP,
    CONF_KEEP_DAYS,
    CONF_PRICE,
    DEFAULT_KEEP_DAYS,
    DOMAIN,
)
from ..conversation.engine.questions import PromptState
from ..deferred.waiting import SCHEDULED, WaitingMessage, async_scheduled_messages, queued_messages
from ..errors import language
from ..events.causes import async_describe_causes
from ..store.db import (
    ConversationQuery,
    ConversationSummary,
    Cursor,
    DeliveryState,
    Direction,
    StoredIn,
    StoredOut,
    comparable_number,
)
from ..store.manager import DATA_STORE, stores_texts
from .access import ConversationKey, Viewer
from .read_marks import async_get_read_marks

type _Causes = Mapping[str, Mapping[str, str]]

_NO_CAUSES: Final[_Causes] = {}
# A message in these states can still be cancelled, if it is scheduled over CMPP.
_SCHEDULED_STATES: Final = (DeliveryState.ACCEPTED, DeliveryState.PENDING)


async def async_conversations(
    hass: HomeAssistant, viewer: Viewer, search: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return conversations, newest first, including those that only have waiting messages. Raises StoreError."""
    query = ConversationQuery(
        viewer.parties(),
        search or None,
        viewer.numbers_named(search) if search else (),
        numbers=viewer.is_admin,
        limit=limit,
    )
    newest: dict[str, ConversationSummary] = {}
    intakes = hass.data[DATA_STORE].intakes
    for intake in intakes:
        intake.flush()
        for summary in await asyncio.wrap_future(intake.store.conversations(query)):
            other = newest.get(summary.party.number)
            if other is None or other.newest.at < summary.newest.at:
                newest[summary.party.number] = summary
    waiting = {} if search else _queued_by_number(hass)
    found: list[tuple[datetime, ConversationKey, StoredIn | StoredOut | None]] = []
    for number in {*newest, *waiting}:
        if key := viewer.conversation(number):
            last = newest[number].newest if number in newest else None
            times = [message.since for message in waiting.get(number, ()) if _is_visible(key, message)]
            times += [last.at] if last else []
            if times:
                found.append((max(times), key, last))
    found.sort(key=lambda one: one[0], reverse=True)
    del found[limit:]
    marks = await async_get_read_marks(hass)
    since = [(key.party, marks.get(viewer.user.id, key.party.number)) for _, key, _ in found]
    unread = [0] * len(found)
    for intake in intakes:
        counts = await asyncio.wrap_future(intake.store.count_unread(since))
        unread = [one + other for one, other in zip(unread, counts, strict=True)]
    return [
        {
            **describe(viewer, key),
            "time": time.isoformat(),
            "unread": count,
            "last": _message(hass, viewer, last) if last else None,
            "waiting": sum(_is_visible(key, message) for message in waiting.get(key.party.number, ())),
        }
        for (time, key, last), count in zip(found, unread, strict=True)
    ]


def describe(viewer: Viewer, key: ConversationKey) -> dict[str, Any]:
    """Return who a conversation is with.

    account: of the recipient. targets: the notify entities that the user may write to.
    """
    return {
        "id": key.id,
        "name": key.name,
        "number": viewer.shown(key.party.number),
        "account": key.contacts[0].entry.entry_id if key.contacts else None,
        "targets": [contact.entity_id for contact in key.contacts if contact.entity_id],
        "can_write": viewer.is_admin or any(contact.entity_id for contact in key.contacts),
    }


async def async_messages(
    hass: HomeAssistant, viewer: Viewer, key: ConversationKey, before: str | None, limit: int
) -> dict[str, Any]:
    """Return a page of a conversation, newest first. The first page has the waiting messages and open questions.

    Raises StoreError, and ValueError for an invalid cursor.
    """
    cursor = _parse_cursor(before) if before else None
    found: list[StoredIn | StoredOut] = []
    for intake in hass.data[DATA_STORE].intakes:
        intake.flush()
        page = await asyncio.wrap_future(intake.store.conversation_page(key.party, cursor, limit + 1))
        found += page
    found.sort(key=lambda one: (one.at, isinstance(one, StoredOut), one.row), reverse=True)
    newest = found[:limit]
    first = cursor is None
    waiting = _visible_queued(hass, key) if first else []
    causes = await async_describe_causes(
        hass,
        [message.cause for message in (*newest, *waiting) if not isinstance(message, StoredIn)],
        may_read=viewer.may_read,
        users=viewer.is_admin,
    )
    return {
        "conversation": describe(viewer, key),
        "messages": [_message(hass, viewer, message, causes) for message in newest],
        "next": _cursor_text(Cursor.of(newest[-1])) if len(found) > limit else None,
        "waiting": [_waiting(viewer, message, causes) for message in waiting],
        "questions": _questions(hass, viewer, key) if first else [],
    }


async def async_accounts(hass: HomeAssistant, viewer: Viewer) -> list[dict[str, Any]]:
    """Return the accounts above the page. Only administrators see balances, spending and connections."""
    visible = {contact.entry.entry_id for contact in viewer.contacts}
    accounts = []
    for entry in hass.config_entries.async_entries(DOMAIN):
        if not (viewer.is_admin or entry.entry_id in visible):
            continue
        account: dict[str, Any] = {
            ATTR_CONFIG_ENTRY_ID: entry.entry_id,
            "title": entry.title,
            "loaded": entry.state is ConfigEntryState.LOADED,
            "keep_days": entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS),
            "keep_texts": stores_texts(entry),
        }
        if viewer.is_admin and entry.state is ConfigEntryState.LOADED:
            data = entry.runtime_data
            spending = await hass.async_add_executor_job(data.client.failover.spending)
            price = entry.options.get(CONF_PRICE)
            problem = data.health.problem
            account |= {
                "balance": data.health.balance,
                "spent": spending.day,
                "cost": round(spending.day * price, 2) if price else None,
                "problem": problem.sentence(language(hass)) if problem else None,
            }
        accounts.append(account)
    return accounts


async def async_find_waiting(hass: HomeAssistant, waiting_id: str) -> WaitingMessage | None:
    """Return the waiting message with this id. Raises StoreError."""
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        queue = entry.runtime_data.deferred
        for message in [*queued_messages(queue), *await async_scheduled_messages(entry, queue.journal)]:
            if message.id == waiting_id:
                return message
    return None


def _queued_by_number(hass: HomeAssistant) -> dict[str, list[WaitingMessage]]:
    found: dict[str, list[WaitingMessage]] = {}
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        for message in queued_messages(entry.runtime_data.deferred):
            found.setdefault(comparable_number(message.addressee.number), []).append(message)
    return found


def _is_visible(key: ConversationKey, message: WaitingMessage) -> bool:
    return key.party.entries is None or message.addressee.entry.entry_id in key.party.entries


def _visible_queued(hass: HomeAssistant, key: ConversationKey) -> list[WaitingMessage]:
    """Return the queued messages of a conversation. Those scheduled at the platform are among its messages."""
    return [message for message in _queued_by_number(hass).get(key.party.number, ()) if _is_visible(key, message)]


def _waiting(viewer: Viewer, message: WaitingMessage, causes: _Causes) -> dict[str, Any]:
    return {
        "id": message.id,
        "text": message.text,
        "since": message.since.isoformat(),
        "due": message.due.isoformat(),
        "waits_for": message.wait_reason.value,
        "cause": causes.get(message.cause or ""),
        "can_cancel": viewer.may_write(message.addressee.entry.entry_id, message.addressee.number),
    }


def _questions(hass: HomeAssistant, viewer: Viewer, key: ConversationKey) -> list[dict[str, Any]]:
    """Return the open questions of a conversation, with the answers so far of all who were asked."""
    found = []
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        if key.party.entries is not None and entry.entry_id not in key.party.entries:
            continue
        for prompt in entry.runtime_data.conversation.questions.open_prompts(key.party.number):
            answers = []
            for other in prompt.question.prompts:
                who = viewer.conversation(other.number)
                if other.answer is not None and who is not None:
                    name = who.name or viewer.shown(other.number)
                    answers.append({"name": name, "id": other.answer.id, "text": other.answer.sentence})
            found.append(
                {
                    "choices": [answer_id for answer_id, _ in prompt.question.answers.given],
                    "queued": prompt.state is PromptState.QUEUED,
                    "asked": len(prompt.question.prompts),
                    "answers": answers,
                }
            )
    return found


def _message(
    hass: HomeAssistant, viewer: Viewer, message: StoredIn | StoredOut, causes: _Causes = _NO_CAUSES
) -> dict[str, Any]:
    entry: ConfigEntry[Any] | None = hass.config_entries.async_get_entry(message.entry)
    shows_text = entry is None or stores_texts(entry)
    common = {
        "key": _cursor_text(Cursor.of(message)),
        ATTR_CONFIG_ENTRY_ID: message.entry,
        "time": message.at.isoformat(),
    }
    if isinstance(message, StoredIn):
        return {
            **common,
            "direction": Direction.IN.value,
            "text": message.content if shows_text else None,
            "via": message.via,
            "incomplete": message.incomplete,
            "redelivered": message.repeat,
        }
    due = message.due
    scheduled = due is not None and due > dt_util.utcnow() and message.state in _SCHEDULED_STATES
    cancellable = scheduled and message.transport == CONF_CMPP and viewer.may_write(message.entry, message.number)
    return {
        **common,
        "direction": Direction.OUT.value,
        "text": message.text if shows_text else None,
        "via": message.transport,
        "due": due.isoformat() if due and scheduled else None,
        "cancel_id": f"{SCHEDULED}_{message.entry}_{message.row}" if cancellable else None,
        "automatic": message.automatic,
        "cause": causes.get(message.cause or ""),
        "priority": message.priority,
        "parts": message.parts,
        "state": message.state.value,
        "reason": reason_sentence(hass, message),
        "state_since": message.state_at.isoformat(),
    }


def _cursor_text(cursor: Cursor) -> str:
    fields = asdict(cursor)
    return f"{fields['at']}-{int(cursor.is_sent)}-{cursor.row}"


def _parse_cursor(text: str) -> Cursor:
    at, is_sent, row = (int(part) for part in text.split("-"))
    return Cursor(at, bool(is_sent), row)
