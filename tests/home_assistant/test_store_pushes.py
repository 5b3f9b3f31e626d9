"""Pushes to a Home Assistant whose message store is deleted, full or flooded."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from support.mounts import fill, tmpfs

from custom_components.sms1680 import const
from custom_components.sms1680.client import Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import HistoryQuery, history, writer
from custom_components.sms1680.store.manager import DATA_STORE
from tests.home_assistant.helpers import ALICE, UPLINKS, MakeEntry, SetUp, poll, store_of
from tests.home_assistant.test_store_files import cut_log, without_cache

FLOOD = 200
LONG = "x" * 15_900


def repairs(hass: HomeAssistant) -> set[str]:
    return {issue_id for domain, issue_id in ir.async_get(hass).issues if domain == const.DOMAIN}


async def test_deleted_file_is_written_again_and_reported(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator, messages: list[Event]
) -> None:
    client = await hass_client_no_auth()
    for text in "12":
        response = await client.get(UPLINKS, params={"mobile": ALICE, "content": text, "xh": ""})
        assert await response.text() == "0"
        for file in Path(hass.config.config_dir).glob("sms1680.db*"):  # noqa: ASYNC240 - nothing waits for it
            file.unlink()
    await hass.async_stop()
    assert [event.data["content"] for event in messages] == ["1", "2"]
    stored = await hass.async_add_executor_job(_texts, Path(hass.config.path("sms1680.db")))
    assert stored == ["1", "2"]
    issue = ir.async_get(hass).async_get_issue(const.DOMAIN, "store_restored")
    assert issue is not None
    assert issue.is_persistent
    assert issue.translation_placeholders == {"file": "sms1680.db"}
    assert entry.title == "Home"


async def test_cut_file_is_reported(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """The messages in the lost half are gone, and the repair issue says so. New ones are stored."""
    client = await hass_client_no_auth()
    for text in map(str, range(50)):
        await client.get(UPLINKS, params={"mobile": ALICE, "content": text, "xh": ""})
    await hass.async_block_till_done()
    await hass.data[DATA_STORE].for_entry(entry).async_flush()  # a later mark would read the file into the cache again
    await hass.async_add_executor_job(without_cache, store_of(hass))
    await hass.async_add_executor_job(cut_log, Path(hass.config.path("sms1680.db")))
    response = await client.get(UPLINKS, params={"mobile": ALICE, "content": "new", "xh": ""})
    assert await response.text() == "0"
    await hass.async_block_till_done()
    assert repairs(hass) == {"store_cut"}
    await hass.async_stop()
    stored = await hass.async_add_executor_job(_texts, Path(hass.config.path("sms1680.db")))
    assert stored[-1] == "new"
    assert entry.title == "Home"


def _texts(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [text for (text,) in database.execute("SELECT content FROM uplink ORDER BY row")]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the bounds to 1/64: 1 MiB. A flood of 16 KB messages then exceeds them three times."""
    monkeypatch.setattr(writer, "LARGE", 2**20)
    limits = {table: (limit // 64, *rest) for table, (limit, *rest) in history._MAX_BYTES.items()}
    monkeypatch.setattr(history, "_MAX_BYTES", limits)


async def flood(processor: InboundProcessor, path: Path) -> int:
    """Receive many long messages, some at a time, and return the largest size of the store's files."""
    largest = 0
    for start in range(0, FLOOD, 10):
        items = [Reply(f"139{number:08}", LONG) for number in range(start, start + 10)]
        await asyncio.gather(*(processor.async_receive(item, InboundSource.WEBHOOK, 1) for item in items))
        files = path.parent.glob("sms1680.db*")
        largest = max(largest, sum(file.stat().st_size for file in files))
    return largest


@pytest.mark.usefixtures("small")
async def test_flood_of_long_pushes_is_bounded_and_pruned(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
) -> None:
    path = Path(hass.config.path("sms1680.db"))
    largest = await flood(processor, path)
    await hass.async_block_till_done(wait_background_tasks=True)
    store = hass.data[DATA_STORE].for_entry(entry).store
    await asyncio.wrap_future(store.counts(entry.entry_id))
    assert len(messages) == FLOOD
    assert largest < 8 * 2**20  # the -wal file alone has up to 4 MiB until it is written into the file
    assert path.stat().st_size < 2**20  # noqa: ASYNC240
    assert await asyncio.wrap_future(store.messages(HistoryQuery(limit=10)))


@pytest.mark.usefixtures("small")
async def test_flood_of_long_pushes_is_bounded_in_memory(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, messages: list[Event]
) -> None:
    entry = make_entry(options={const.CONF_KEEP_DAYS: 0})
    await set_up(entry)
    await flood(async_get_registry(hass).async_get(entry), Path(hass.config.path("sms1680.db")))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(messages) == FLOOD
    assert hass.data[DATA_STORE].for_entry(entry).store._writer.size < 2**21


async def test_full_disk_refuses_pushes_and_leaves_a_repair(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    tmp_path: Path,
    hass_client_no_auth: ClientSessionGenerator,
    messages: list[Event],
) -> None:
    with tmpfs(tmp_path / "small", 2**20) as folder:
        hass.config.config_dir = str(folder)
        await set_up(make_entry())
        client = await hass_client_no_auth()

        async def push(text: str) -> str:
            response = await client.post(UPLINKS, data={"mobile": ALICE, "content": text, "xh": ""})
            return await response.text()

        assert await push("1") == "0"
        fill(folder)
        assert await push(LONG) != "0"
        await hass.async_block_till_done()
        (folder / "filler").unlink()
        assert await push("2") == "0"
        assert "store_failed" in repairs(hass)
        issue = ir.async_get(hass).async_get_issue(const.DOMAIN, "store_failed")
        assert issue is not None
        assert issue.is_persistent
        assert issue.translation_placeholders == {"file": "sms1680.db", "problem": "SQLITE_FULL"}
        await poll(lambda: len(messages) == 3)
        await hass.async_stop()
