"""Repair issues: those of a removed account, recipient or transport are deleted, all others stay."""

from __future__ import annotations

import pytest
from homeassistant.config_entries import ConfigSubentryDataWithId
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import issues
from custom_components.sms1680.client import Reason
from custom_components.sms1680.const import CONF_HTTP, DOMAIN, SUBENTRY_RECIPIENT


def issue_ids(hass: HomeAssistant) -> set[str]:
    return {issue_id for domain, issue_id in ir.async_get(hass).issues if domain == DOMAIN}


@pytest.fixture
def accounts() -> list[MockConfigEntry]:
    """Two accounts over HTTP with one recipient each; the id of the one is the beginning of the other's."""
    alice = ConfigSubentryDataWithId(
        data={}, subentry_id="alice", subentry_type=SUBENTRY_RECIPIENT, title="Alice", unique_id=None
    )
    return [
        MockConfigEntry(domain=DOMAIN, entry_id=entry_id, data={CONF_HTTP: {}}, subentries_data=[alice])
        for entry_id in ("account", "account2")
    ]


def create_all(hass: HomeAssistant, entry: MockConfigEntry) -> set[str]:
    before = issue_ids(hass)
    for repair in issues._OF_AN_ACCOUNT:
        repair.async_create(hass, entry)
    for subject in (*entry.subentries, "removed"):
        issues.OPTED_OUT.async_create(hass, entry, subject)
        issues.LOCKED_OUT.async_create(hass, entry, subject)
    issues.DELAYED_LOST.async_create(hass, entry, "0123456789ab")
    return issue_ids(hass) - before


async def test_removing_an_account_deletes_its_issues_only(
    hass: HomeAssistant, accounts: list[MockConfigEntry]
) -> None:
    removed, other = accounts
    create_all(hass, removed)
    issues.STORE_DAMAGED.async_create(hass, None)
    remaining = create_all(hass, other)
    issues.async_remove_issues(hass, removed)
    assert issue_ids(hass) == remaining | {"store_damaged"}


async def test_pruning_deletes_the_issues_of_absent_transports_and_recipients(
    hass: HomeAssistant, accounts: list[MockConfigEntry]
) -> None:
    entry, _ = accounts
    created = create_all(hass, entry)
    issues.async_prune_issues(hass, entry)
    assert created - issue_ids(hass) == {
        "connection_suspended_account",
        "connection_ip_account",
        "connection_version_account",
        "connection_refused_account",
        "connection_wrong_address_account",
        "suspended_account",
        "opted_out_account_removed",
        "locked_out_account_removed",
    }


async def test_issues_of_the_given_reasons_are_shown_and_the_others_deleted(
    hass: HomeAssistant, accounts: list[MockConfigEntry]
) -> None:
    entry, _ = accounts
    issues.async_show_issues(hass, entry, issues.CONNECTION_PROBLEMS, {Reason.IP})
    assert issue_ids(hass) == {"connection_ip_account"}
    issues.async_show_issues(hass, entry, issues.CONNECTION_PROBLEMS, {Reason.LOGIN, Reason.LOST})
    assert issue_ids(hass) == {"connection_refused_account"}
    issues.async_show_issues(hass, entry, issues.CONNECTION_PROBLEMS, {None})
    assert not issue_ids(hass)
