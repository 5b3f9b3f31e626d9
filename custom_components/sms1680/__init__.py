"""SMS 1680: sends messages through the enterprise SMS platform 1680 and fires events for the replies."""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.typing import ConfigType
from homeassistant.util.async_ import create_eager_task

from .account.batching import SendBatcher
from .account.clients import async_make_failover_client
from .account.failover import ReceiptRouter
from .account.former_devices import DATA_FORMER, async_setup_former_devices
from .account.health import AccountHealth
from .account.journal import JournaledClient
from .account.latest import LatestUpdates
from .account.refused_words import RefusedWords, async_remove_refused_words
from .account.spending import BudgetMonitor
from .account.statistics import Statistics, async_remove_statistics
from .assist.memory import async_remove_memory
from .assist.sentences import async_setup_intent
from .assist.setup import async_load_assist, async_start_assist
from .client import InvalidSettingError, Receipt
from .client.masking import mask_number
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
    CONF_NUMBER,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SHOW_PANEL,
    CONF_SOURCE_NUMBER,
    DOMAIN,
    signal_recipient_added,
    signal_statistics,
)
from .conversation.command_auth import async_remove_commands
from .conversation.handler import Conversation
from .conversation.memory_store import async_remove_questions
from .coordinator import BalanceCoordinator, Sms1680ConfigEntry, Sms1680Data, balance_interval
from .duty.setup import async_load_alarms, async_start_alarms, async_stop_alarms, async_update_groups
from .duty.storage import async_remove_alarms
from .entity import async_register_device, async_remove_stale_entities
from .errors import not_ready_error
from .events.causes import async_setup_causes
from .events.context import async_setup_context
from .inbound.cmpp import async_keep_connected, async_receive_cmpp
from .inbound.endpoints import (
    async_register_push,
    async_setup_push,
    async_start_receiving,
    async_unregister_push,
    async_update_listener,
)
from .issues import STORE_UNAVAILABLE, async_prune_issues, async_remove_issues
from .outbound.queued import create_queue
from .outbound.unavailable_notify import async_watch_unavailable
from .panel.register import async_serve_files, async_update_page
from .panel.websocket import async_setup_websocket
from .recipients import groups, recipients
from .sensor import async_enable_spent_sensor
from .services import async_setup_services
from .store.manager import DATA_STORE, FILE, StoreManager, async_remove_messages

PLATFORMS = [Platform.BINARY_SENSOR, Platform.BUTTON, Platform.EVENT, Platform.NOTIFY, Platform.SENSOR]
# Seconds; more than the core's own 30 seconds of trying.
_DRAIN_TIMEOUT: Final = 40.0
CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:  # noqa: ARG001 - Home Assistant's signature
    """Set up the parts that do not depend on an entry: the actions and the push addresses."""
    async_setup_services(hass)
    async_setup_context(hass)
    async_setup_causes(hass)
    async_watch_unavailable(hass)
    async_setup_websocket(hass)
    async_setup_intent(hass)
    await async_setup_former_devices(hass)
    store = hass.data[DATA_STORE] = StoreManager(hass)
    if problem := await store.async_open():
        STORE_UNAVAILABLE.async_create(hass, None, file=FILE, problem=problem)
    else:
        STORE_UNAVAILABLE.async_delete(hass, None)
    await async_setup_push(hass)
    await async_serve_files(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> bool:
    """Set up an account. No step needs the network: the entities exist whether the platform can be reached or not."""
    storage = hass.data[DATA_STORE]
    statistics = Statistics(hass, entry.entry_id, entry.options.get(CONF_PRICE))
    refused_words = RefusedWords(hass, entry.entry_id)
    conversation = Conversation(hass, entry)
    latest = LatestUpdates(hass, entry, storage.for_entry(entry).store)
    async_prune_issues(hass, entry)
    health = AccountHealth(hass, entry)
    receipts = ReceiptRouter()
    making = async_make_failover_client(
        hass,
        entry.data,
        entry.options,
        receipts=receipts,
        on_incoming=partial(async_receive_cmpp, hass, entry),
        on_status=health.on_connection_status,
    )
    try:
        failover, *_ = await _async_together(
            making, latest.async_load(), statistics.async_load(), refused_words.async_load(), conversation.async_load()
        )
    except InvalidSettingError as error:  # the package for its SOCKS proxy could not be installed
        raise not_ready_error(hass, error) from None
    client = JournaledClient(hass, entry, failover, storage)
    budget = BudgetMonitor(hass, entry, failover.spending)

    @callback
    def on_receipt(receipt: Receipt, transport: str) -> None:
        statistics.record(receipt)
        health.on_receipt(receipt, transport)
        client.on_receipt(receipt, transport)
        budget.record(receipt)

    receipts.subscribe(on_receipt)
    coordinator = BalanceCoordinator(hass, entry, failover, health) if failover.http is not None else None
    entry.runtime_data = data = Sms1680Data(
        client=client,
        batcher=SendBatcher(hass, client),
        coordinator=coordinator,
        statistics=statistics,
        health=health,
        conversation=conversation,
        deferred=create_queue(hass, entry, storage),
        refused_words=refused_words,
        budget=budget,
        latest=latest,
        applied=(entry.data, entry.options),
        recipients={subentry.subentry_id for subentry in recipients(entry)},
    )
    statistics.async_start()
    entry.async_on_unload(statistics.async_stop)
    await _async_together(async_load_alarms(hass, entry), async_load_assist(hass, entry))
    async_register_push(hass, entry)
    hass.data[DATA_FORMER].async_restore(entry)
    # The devices of the recipients refer to that of the account.
    async_register_device(hass, entry)
    async_remove_stale_entities(hass, entry)
    async_enable_spent_sensor(hass, entry)
    async_update_page(hass)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    latest.async_stop()
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    entry.async_on_unload(conversation.end)
    if coordinator is not None:
        # The repair of a low balance needs the balance to be polled even if its sensors are disabled.
        entry.async_on_unload(coordinator.async_add_listener(lambda: None))
    await async_start_receiving(hass, entry)
    await data.deferred.async_start()
    async_start_alarms(hass, entry)
    async_start_assist(entry)
    await hass.data[DATA_FORMER].async_remember()
    if failover.cmpp is not None:
        async_keep_connected(hass, entry, failover.cmpp)
    # The setup does not need these, so they run last.
    budget.async_check()
    if coordinator is not None:
        entry.async_create_background_task(hass, coordinator.async_refresh(), "sms1680 balance", eager_start=False)
    return True


async def _async_together(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run coroutines side by side, and return their results. One that never waits ends at once.

    Raises the first error, after all have ended.
    """
    tasks = [create_eager_task(one) for one in coroutines]
    if waiting := [task for task in tasks if not task.done()]:
        await asyncio.gather(*waiting, return_exceptions=True)
    return [task.result() for task in tasks]


async def async_unload_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> bool:
    """Unload an account. Running sends end first, while the entities still receive events."""
    data = entry.runtime_data
    await data.client.async_drain(_DRAIN_TIMEOUT)
    unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    if unloaded:
        await async_stop_alarms(hass, entry)
        await data.deferred.async_stop()
        data.budget.async_stop()
        await data.batcher.aclose()
        await data.client.failover.aclose()
        await data.statistics.async_save()
        async_update_page(hass)
    return unloaded


async def async_remove_entry(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Delete everything that is stored for an account."""
    await async_unregister_push(hass, entry)
    async_remove_issues(hass, entry)
    await async_remove_refused_words(hass, entry.entry_id)
    await async_remove_commands(hass, entry)
    await async_remove_questions(hass, entry.entry_id)
    await async_remove_alarms(hass, entry.entry_id)
    await async_remove_memory(hass, entry.entry_id)
    await async_remove_statistics(hass, entry.entry_id)
    await async_remove_messages(hass, entry)
    async_update_page(hass, without=entry)
    await hass.data[DATA_FORMER].async_remember()


async def _async_updated(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Apply changed settings; add, change and remove recipients without a reload."""
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
    data.conversation.commands.remove_stale()
    hass.data[DATA_FORMER].async_restore(entry)
    for subentry in recipients(entry):
        if subentry.subentry_id not in known:
            async_dispatcher_send(hass, signal_recipient_added(entry.entry_id), subentry)
    async_update_groups(hass, entry)
    await hass.data[DATA_FORMER].async_remember()


@callback
def _async_rename_devices(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Rename the devices after the account, its recipients with their numbers, and its groups; user names stay."""
    registry = dr.async_get(hass)
    shown: dict[tuple[str, str], tuple[str, str | None]] = {(DOMAIN, entry.entry_id): (entry.title, None)}
    for subentry in recipients(entry):
        identifier = (DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}")
        shown[identifier] = (subentry.title, mask_number(subentry.data[CONF_NUMBER]))
    for group in groups(entry):
        shown[DOMAIN, f"{entry.entry_id}_{group.subentry_id}"] = (group.title, None)
    for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
        for identifier in device.identifiers & shown.keys():
            name, model = shown[identifier]
            if (device.name, device.model) != (name, model):
                registry.async_update_device(device.id, name=name, model=model)


# Options that are read whenever they are needed, or applied by `async_adjust`.
_LIVE: Final = {
    CONF_BALANCE_INTERVAL,
    CONF_COMMAND_WORDS,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_NUMBER,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SHOW_PANEL,
    CONF_SOURCE_NUMBER,
}


@callback
def needs_reload(entry: Sms1680ConfigEntry, data: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Return whether an entry must be reloaded that was set up with this data and these options."""
    changed = {name for name in {*options, *entry.options} if options.get(name) != entry.options.get(name)}
    return bool(changed - _LIVE) or any(data.get(name) != entry.data.get(name) for name in (CONF_HTTP, CONF_CMPP))


async def async_adjust(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Apply the settings that need no reload."""
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
    async_update_page(hass)
    async_dispatcher_send(hass, signal_statistics(entry.entry_id))
