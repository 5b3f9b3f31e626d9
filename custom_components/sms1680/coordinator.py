"""The runtime data of an account, and the coordinator that polls its balance."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, override

from homeassistant.components.notify import NotifyEntity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed

from .account.batching import SendBatcher
from .account.failover import FailoverClient
from .account.health import AccountHealth
from .account.journal import JournaledClient
from .account.latest import LatestUpdates
from .account.refused_words import RefusedWords
from .account.spending import BudgetMonitor
from .account.statistics import Statistics
from .client import Reason, SMS1680Error
from .const import CONF_BALANCE_INTERVAL, DEFAULT_BALANCE_INTERVAL, DOMAIN
from .conversation.handler import Conversation
from .deferred.queue import DeferredQueue

_LOGGER = logging.getLogger(__name__)


@dataclass
class Sms1680Data:
    """The runtime data of a config entry.

    applied: the data and options that it was set up with. recipients: the subentries that have entities.
    coordinator: None for an account without HTTP. latest: until the entities exist. notify_entities: by the subentry of
    their recipient. devices: the ids of those that this setup has registered, by subentry, None for the
    account.
    """

    client: JournaledClient
    batcher: SendBatcher
    coordinator: "BalanceCoordinator | None"
    statistics: Statistics
    health: AccountHealth
    conversation: Conversation
    deferred: DeferredQueue
    refused_words: RefusedWords
    budget: BudgetMonitor
    latest: LatestUpdates
    applied: tuple[Mapping[str, Any], Mapping[str, Any]]
    recipients: set[str]
    notify_entities: dict[str, NotifyEntity] = field(default_factory=dict)
    devices: dict[str | None, str] = field(default_factory=dict)


type Sms1680ConfigEntry = ConfigEntry[Sms1680Data]


def balance_interval(entry: Sms1680ConfigEntry) -> timedelta:
    """Return how often the balance of an account is polled."""
    return timedelta(minutes=entry.options.get(CONF_BALANCE_INTERVAL, DEFAULT_BALANCE_INTERVAL))


class BalanceCoordinator(DataUpdateCoordinator[int | None]):
    """The remaining messages of the product, in parts; None if the account has no permission to query them.

    Only its own sensors depend on it.
    """

    config_entry: Sms1680ConfigEntry

    def __init__(
        self, hass: HomeAssistant, entry: Sms1680ConfigEntry, client: FailoverClient, health: AccountHealth
    ) -> None:
        super().__init__(
            hass,
            _LOGGER,
            config_entry=entry,
            name=f"{DOMAIN} balance",
            update_interval=balance_interval(entry),
        )
        self._client = client
        self._health = health

    @override
    async def _async_update_data(self) -> int | None:
        balance: int | None = None
        try:
            balance = await self._client.balance()
        except SMS1680Error as error:
            # An account without this permission can still send.
            if error.reason is not Reason.PERMISSION:
                self._health.on_refused(error.reason)
                raise UpdateFailed(
                    translation_domain=DOMAIN,
                    translation_key="no_balance",
                    translation_placeholders={"problem": error.sentence()},
                ) from None
        self._health.on_balance(balance)
        return balance
