"""SMS 1680: messages through the enterprise SMS platform 1680, and the replies to them as events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.typing import ConfigType

from .account.batching import Sharing
from .account.clients import async_make_ways
from .account.health import AccountHealth
from .account.journal import RecordedSender
from .account.refused_words import RefusedWords, async_remove_refused_words
from .account.spending import BudgetMonitor
from .account.statistics import Statistics, async_remove_statistics
from .client import Receipt
from .const import (
    CONF_BALANCE_INTERVAL,
    CONF_CMPP,
    CONF_COMMAND_WORDS,
    CONF_HTTP,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SOURCE_NUMBER,
    DOMAIN,
    signal_recipient_added,
    signal_statistics,
)
from .context import async_setup_origin, is_automatic
from .conversation.command_auth import async_remove_commands
from .conversation.handler import Conversation
from .conversation.memory_store import async_remove_questions
from .coordinator import BalanceCoordinator, Sms1680ConfigEntry, Sms1680Data, balance_interval
from .entity import account_device_info, async_remove_stale_entities
from .inbound.cmpp import async_keep_connected, async_receive_cmpp
from .inbound.endpoints import (
    async_register_push,
    async_setup_push,
    async_start_receiving,
    async_unregister_push,
    async_update_listener,
)
from .issues import async_prune_issues, async_remove_issues
from .outbound.pipeline import create_queue
from .outbound.unavailable_notify import async_watch_for_missed
from .recipients import recipients
from .sensor import async_enable_spent_sensor
from .services import async_setup_services
from .store.manager import DATA_STORE, StoreManager, async_remove_messages

PLATFORMS = [Platform.BINARY_SENSOR, Platform.EVENT, Platform.NOTIFY, Platform.SENSOR]
# Seconds; the core itself tries for thirty.
_DRAIN_PATIENCE: Final = 40.0
CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:  # noqa: ARG001 - Home Assistant's signature
    """Set up what does not depend on an entry: the actions and the push addresses."""
    async_setup_services(hass)
    async_setup_origin(hass)
    async_watch_for_missed(hass)
    hass.data[DATA_STORE] = StoreManager(hass)
    await hass.data[DATA_STORE].async_open()
    await async_setup_push(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> bool:
    """Set up an account. Nothing here asks the network: the entities are there whether the platform is or not."""
    statistics = Statistics(hass, entry.entry_id, entry.options.get(CONF_PRICE))
    await statistics.async_load()
    async_prune_issues(hass, entry)
    health = AccountHealth(hass, entry)
    client = RecordedSender(hass, entry, hass.data[DATA_STORE])

    @callback
    def record(receipt: Receipt, way: str) -> None:
        statistics.record(receipt)
        health.on_receipt(receipt, way)
        client.record(receipt, way)
        budget.record(receipt)

    client.sender = ways = await async_make_ways(
        hass,
        entry.data,
        entry.options,
        on_receipt=record,
        on_incoming=partial(async_receive_cmpp, hass, entry),
        on_status=health.on_connection_status,
    )

    budget = BudgetMonitor(hass, entry, ways.spending)
    deferred = create_queue(hass, entry, hass.data[DATA_STORE])
    refused_words = RefusedWords(hass, entry.entry_id)
    await refused_words.async_load()

    async def send(numbers: list[str], text: str, extension: str | None) -> tuple[Receipt, ...]:
        return await client.send(numbers, text, extension=extension, automatic=is_automatic())

    conversation = Conversation(hass, entry)
    await conversation.async_load()
    coordinator = BalanceCoordinator(hass, entry, client, health) if ways.http is not None else None
    entry.runtime_data = Sms1680Data(
        client=client,
        sharing=Sharing(hass, send),
        coordinator=coordinator,
        statistics=statistics,
        health=health,
        conversation=conversation,
        deferred=deferred,
        refused_words=refused_words,
        budget=budget,
        applied=(entry.data, entry.options),
        recipients={subentry.subentry_id for subentry in recipients(entry)},
    )
    async_register_push(hass, entry)
    # The recipients' devices hang on it.
    dr.async_get(hass).async_get_or_create(config_entry_id=entry.entry_id, **account_device_info(entry))
    async_remove_stale_entities(hass, entry)
    async_enable_spent_sensor(hass, entry)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    entry.async_on_unload(conversation.end)
    if coordinator is not None:
        # The repair of a low balance wants it asked for even where nobody looks at its sensors.
        entry.async_on_unload(coordinator.async_add_listener(lambda: None))
        entry.async_create_background_task(hass, coordinator.async_refresh(), "sms1680 balance", eager_start=False)
    await async_start_receiving(hass, entry)
    budget.async_start()
    await deferred.async_start()
    if ways.cmpp is not None:
        async_keep_connected(hass, entry, ways.cmpp)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> bool:
    """Unload an account. What is under way ends first, while the entities are there for what comes meanwhile."""
    await entry.runtime_data.client.async_drain(_DRAIN_PATIENCE)
    unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    if unloaded:
        await entry.runtime_data.deferred.async_stop()
        entry.runtime_data.budget.async_stop()
        await entry.runtime_data.sharing.aclose()
        await entry.runtime_data.client.aclose()
        await entry.runtime_data.statistics.async_save()
    return unloaded


async def async_remove_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Forget an account."""
    await async_unregister_push(hass, entry)
    async_remove_issues(hass, entry)
    await async_remove_refused_words(hass, entry.entry_id)
    await async_remove_commands(hass, entry)
    await async_remove_questions(hass, entry.entry_id)
    await async_remove_statistics(hass, entry.entry_id)
    await async_remove_messages(hass, entry)


async def _async_updated(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Take in changed settings; let recipients come, change and go without a reload."""
    data = entry.runtime_data
    if needs_reload(entry, *data.applied):
        data.health.reset()
        hass.config_entries.async_schedule_reload(entry.entry_id)
        return
    if data.applied != (entry.data, entry.options):
        data.applied = (entry.data, entry.options)
        await async_adjust(hass, entry)
    _async_rename_devices(hass, entry)
    known, data.recipients = data.recipients, {subentry.subentry_id for subentry in recipients(entry)}
    async_prune_issues(hass, entry)
    data.conversation.remove_stale()
    for subentry in recipients(entry):
        if subentry.subentry_id not in known:
            async_dispatcher_send(hass, signal_recipient_added(entry.entry_id), subentry)


@callback
def _async_rename_devices(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Give the devices the names of the account and its recipients; those that the user gave stand."""
    registry = dr.async_get(hass)
    names = {(DOMAIN, entry.entry_id): entry.title}
    for subentry in recipients(entry):
        names[DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}"] = subentry.title
    for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
        for identifier in device.identifiers:
            if identifier in names and device.name != names[identifier]:
                registry.async_update_device(device.id, name=names[identifier])


# Read anew whenever they are needed, or set by `async_adjust`.
_LIVE: Final = {
    CONF_BALANCE_INTERVAL,
    CONF_COMMAND_WORDS,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SOURCE_NUMBER,
}


@callback
def needs_reload(entry: Sms1680ConfigEntry, data: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Tell whether an entry must be reloaded that was set up with other data and options than it has now."""
    changed = {name for name in {*options, *entry.options} if options.get(name) != entry.options.get(name)}
    return bool(changed - _LIVE) or any(data.get(way) != entry.data.get(way) for way in (CONF_HTTP, CONF_CMPP))


async def async_adjust(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Take in the settings that need no reload."""
    data = entry.runtime_data
    async_register_push(hass, entry)
    await async_update_listener(hass, entry)
    data.statistics.price = entry.options.get(CONF_PRICE)
    async_enable_spent_sensor(hass, entry)
    if data.health.balance is not None:
        data.health.update_low_balance_issue()
    if (coordinator := data.coordinator) is not None and coordinator.update_interval != balance_interval(entry):
        coordinator.update_interval = balance_interval(entry)
        await coordinator.async_request_refresh()
    async_dispatcher_send(hass, signal_statistics(entry.entry_id))
