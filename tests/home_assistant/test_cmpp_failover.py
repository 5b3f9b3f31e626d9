"""An account over HTTP and CMPP: they replace each other, and nothing is sent, reported or counted twice."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.account import clients as account, failover
from custom_components.sms1680.account.messages import BatchMessage, TemplateMessage, TextMessage
from custom_components.sms1680.account.statistics import Statistics
from custom_components.sms1680.client import Account, AsyncClient, NotSentError, Outcome, Reason, Receipt
from custom_components.sms1680.client.cmpp import CMPPClient, Status
from custom_components.sms1680.store.db import HistoryQuery, StoredOut
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Fault, Sandbox
from sms1680.sandbox.cmpp.faults import CMPPFault
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import ALICE, BOB, BOTH, MakeEntry, SetUp, Until, poll, send_text, sent


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits for connections and responses."""

    async def hurry(delay: float) -> None:
        await asyncio.sleep(min(delay, 0.02))

    monkeypatch.setattr(account, "CMPPClient", functools.partial(CMPPClient, sleep=hurry, answer_timeout=0.5))
    monkeypatch.setattr(failover, "_FIRST_PATIENCE", 0.2)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Receipt]:
    """Return a list that collects each receipt of the statistics."""
    receipts: list[Receipt] = []
    record = Statistics.record

    def note(statistics: Statistics, receipt: Receipt) -> None:
        receipts.append(receipt)
        record(statistics, receipt)

    monkeypatch.setattr(Statistics, "record", note)
    return receipts


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, until: Until, recorded: list[Receipt]) -> MockConfigEntry:
    """Return a connected account with both transports. `recorded` is set up first."""
    assert recorded == []
    made = make_entry(ways=BOTH)
    await set_up(made)
    await until(lambda: connected(made))
    return made


def connected(entry: MockConfigEntry) -> bool:
    return bool(entry.runtime_data.health.connection.connected)


def by_cmpp(sandbox: Sandbox) -> int:
    """Return how many SUBMITs the platform has accepted."""
    return len(sandbox.cmpp.reports.sent)


def outcomes(receipts: list[Receipt]) -> list[tuple[str, str]]:
    return [(receipt.number, receipt.outcome.value) for receipt in receipts]


async def test_cmpp_sends_while_it_is_connected(
    entry: MockConfigEntry, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    receipts = await send_text(entry.runtime_data.client, [ALICE, BOB], "后门打开")
    assert outcomes(receipts) == [(ALICE, "accepted"), (BOB, "accepted")]
    assert sent(sandbox) == [(ALICE, "后门打开"), (BOB, "后门打开")]
    assert by_cmpp(sandbox) == 1
    assert recorded == receipts
    assert await entry.runtime_data.client.failover.balance() == 998


async def test_http_sends_while_cmpp_is_down(
    make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    entry = make_entry(ways=BOTH, cmpp={"port": 1})
    await set_up(entry)
    receipts = await send_text(entry.runtime_data.client, [ALICE], "后门打开")
    assert outcomes(receipts) == [(ALICE, "accepted")]
    assert recorded == receipts
    assert (sent(sandbox), by_cmpp(sandbox)) == ([(ALICE, "后门打开")], 0)
    assert entry.runtime_data.health.can_send


async def test_cmpp_sends_what_http_cannot(
    make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, until: Until, recorded: list[Receipt]
) -> None:
    sandbox.platform.accounts["homeuser"].config = replace(sandbox.config.accounts[0], suspended=True)
    entry = make_entry(ways=BOTH, http={"gateway": "http://127.0.0.1:1"})
    await set_up(entry)
    await until(lambda: entry.runtime_data.health.connection.reason is not None)
    sandbox.platform.accounts["homeuser"].config = sandbox.config.accounts[0]
    receipts = await send_text(entry.runtime_data.client, [ALICE, BOB], "后门打开")
    assert outcomes(receipts) == [(ALICE, "accepted"), (BOB, "accepted")]
    assert recorded == receipts
    assert by_cmpp(sandbox) == 1


async def test_without_any_transport_each_number_has_one_receipt(
    make_entry: MakeEntry, set_up: SetUp, recorded: list[Receipt]
) -> None:
    entry = make_entry(ways=BOTH, http={"gateway": "http://127.0.0.1:1"}, cmpp={"port": 1})
    await set_up(entry)
    receipts = await send_text(entry.runtime_data.client, [ALICE, BOB, ALICE], "后门打开", patience=0.3)
    assert outcomes(receipts) == [(ALICE, "not_sent"), (BOB, "not_sent"), (ALICE, "not_sent")]
    assert Counter(receipt.number for receipt in recorded) == {ALICE: 1, BOB: 1}
    assert not entry.runtime_data.health.can_send


@pytest.mark.parametrize(
    ("fault", "there"), [("drop_after", 1), ("drop_before", 0), ("lost_answer", 1), ("lost_submit", 0), ("restart", 1)]
)
async def test_unknown_outcome_is_never_sent_by_the_other_transport(
    entry: MockConfigEntry, sandbox: Sandbox, recorded: list[Receipt], *, fault: str, there: int
) -> None:
    sandbox.cmpp.faults.next(fault)
    receipts = await send_text(entry.runtime_data.client, [ALICE], "后门打开")
    assert outcomes(receipts)[0][1] == ("accepted" if fault == "restart" and receipts[0].message_id else "unknown")
    assert len(sent(sandbox)) == there
    assert recorded == receipts


async def test_partly_accepted_message_is_never_sent_by_the_other_transport(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    faults = iter([None])
    sandbox.cmpp.faults.choose_submit = lambda: next(faults, CMPPFault.TOO_FAST)
    receipts = await send_text(entry.runtime_data.client, [ALICE], "门" * 100)
    assert outcomes(receipts) == [(ALICE, "unknown")]
    assert [(len(receipt.message_ids), receipt.segments) for receipt in receipts] == [(1, 2)]
    assert recorded == receipts
    assert sent(sandbox) == []
    await hass.async_block_till_done()
    store = hass.data[DATA_STORE].for_entry(entry).store
    (stored,) = await asyncio.wrap_future(store.messages(HistoryQuery(entries=[entry.entry_id])))
    assert isinstance(stored, StoredOut)
    # The accepted segment arrives, which does not settle the message.
    assert stored.outcome is Outcome.UNKNOWN
    assert stored.state.value in ("unknown", "pending")


async def test_refused_message_is_not_sent_by_the_other_transport(
    entry: MockConfigEntry, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    receipts = await send_text(entry.runtime_data.client, [ALICE], "代开发票")
    assert outcomes(receipts) == [(ALICE, "refused")]
    assert recorded == receipts
    assert sent(sandbox) == []


async def test_http_sends_while_the_login_is_refused(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, until: Until
) -> None:
    state = sandbox.platform.accounts["homeuser"]
    state.config = replace(state.config, suspended=False, cmpp_connections=0)
    entry = make_entry(ways=BOTH)
    await set_up(entry)
    issue = f"connection_suspended_{entry.entry_id}"
    await until(lambda: ir.async_get(hass).async_get_issue("sms1680", issue))
    assert outcomes(await send_text(entry.runtime_data.client, [ALICE], "后门打开")) == [(ALICE, "accepted")]
    assert (len(sent(sandbox)), by_cmpp(sandbox)) == (1, 0)
    assert entry.runtime_data.health.can_send


async def test_failure_of_http_alone_does_not_stop_sending(make_entry: MakeEntry, set_up: SetUp, until: Until) -> None:
    entry = make_entry(ways=BOTH, http={"gateway": "http://127.0.0.1:1"})
    await set_up(entry)
    await until(lambda: connected(entry))
    assert entry.runtime_data.coordinator.last_update_success is False
    assert entry.runtime_data.health.can_send
    assert outcomes(await send_text(entry.runtime_data.client, [ALICE], "后门打开")) == [(ALICE, "accepted")]


async def test_http_repair_stays_until_http_works(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    issues = ir.async_get(hass)
    issue = f"ip_{entry.entry_id}"
    sandbox.platform.faults.next(Fault(verdict=Verdict.IP))
    await entry.runtime_data.coordinator.async_refresh()
    assert issues.async_get_issue("sms1680", issue)
    assert entry.runtime_data.health.can_send, "CMPP is connected"
    assert outcomes(await send_text(entry.runtime_data.client, [ALICE], "后门打开")) == [(ALICE, "accepted")]
    assert by_cmpp(sandbox) == 1
    assert issues.async_get_issue("sms1680", issue), "what CMPP took says nothing of HTTP"
    await entry.runtime_data.coordinator.async_refresh()
    assert not issues.issues


async def test_message_accepted_over_cmpp_clears_a_message_problem(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    health = entry.runtime_data.health
    for way in BOTH:
        health.on_receipt(Receipt(ALICE, Outcome.REFUSED, reason=Reason.SIGNATURE), way)
    assert health.problem is Reason.SIGNATURE
    assert outcomes(await send_text(entry.runtime_data.client, [ALICE], "后门打开")) == [(ALICE, "accepted")]
    assert health.problem is None
    assert not ir.async_get(hass).issues


@pytest.mark.parametrize("removed", BOTH)
async def test_repairs_are_deleted_with_their_transport(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, until: Until, removed: str, sandbox: Sandbox
) -> None:
    sandbox.platform.accounts["homeuser"].config = replace(
        sandbox.platform.accounts["homeuser"].config, cmpp_connections=0
    )
    entry = make_entry(ways=BOTH, options={"low_balance": 5000})
    await set_up(entry)
    of_way = {
        "http": [f"low_balance_{entry.entry_id}", f"product_{entry.entry_id}"],
        "cmpp": [f"connection_suspended_{entry.entry_id}"],
    }
    entry.runtime_data.health.on_receipt(Receipt(ALICE, Outcome.REFUSED, reason=Reason.PRODUCT), "http")
    issues = ir.async_get(hass)
    every = {("sms1680", issue) for way in BOTH for issue in of_way[way]}
    await until(lambda: issues.issues.keys() == every)
    flow = await entry.start_reconfigure_flow(hass)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": f"remove_{removed}"})
    await hass.config_entries.flow.async_configure(flow["flow_id"], {})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not issues.issues.keys() & {("sms1680", issue) for issue in of_way[removed]}
    await hass.config_entries.async_unload(entry.entry_id)


async def test_template_and_batch_fail_over_too(
    make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    entry = make_entry(ways=BOTH, cmpp={"port": 1})
    await set_up(entry)
    client = entry.runtime_data.client
    await client.send(TemplateMessage([ALICE], "{A} 打开", [["后门"]]))
    await client.send(BatchMessage([BOB], ["一号门打开"]))
    assert sent(sandbox) == [(ALICE, "后门 打开"), (BOB, "一号门打开")]
    assert [receipt.outcome for receipt in recorded] == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert client.failover.estimate("后门打开").parts == 1


async def test_cancelled_call_has_one_receipt(make_entry: MakeEntry, set_up: SetUp, recorded: list[Receipt]) -> None:
    entry = make_entry(ways=BOTH, http={"gateway": "http://127.0.0.1:1"}, cmpp={"port": 1})
    await set_up(entry)
    both = entry.runtime_data.client.failover
    sending = asyncio.create_task(both.send(TextMessage([ALICE], "后门打开"), {}))
    async with asyncio.timeout(10):
        while not both.cmpp._dispatcher.busy:  # noqa: ASYNC110 - nobody tells that it waits for a connection
            await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [(receipt.outcome, receipt.reason) for receipt in recorded] == [(Outcome.NOT_SENT, Reason.CANCELLED)]


class Stub:
    """A client that reports each number as not sent; with `sticks` its calls never end."""

    def __init__(
        self,
        on_receipt: Callable[[Receipt], None],
        *,
        connected: bool = False,
        sticks: bool = False,
        reason: Reason = Reason.NO_CONNECTION,
    ) -> None:
        self.status = Status(connected=connected)
        self.begun = asyncio.Event()
        self.given: dict[str, Any] = {}
        self._on_receipt = on_receipt
        self._sticks = sticks
        self._reason = reason

    async def send(self, numbers: list[str], text: str, **options: Any) -> tuple[Receipt, ...]:  # noqa: ARG002
        self.given = options
        receipts = tuple(
            Receipt(number, Outcome.NOT_SENT, reason=self._reason, context=options.get("context"), index=index)
            for index, number in enumerate(numbers)
        )
        for receipt in receipts:
            self._on_receipt(receipt)
        self.begun.set()
        if self._sticks:
            await asyncio.Event().wait()
        raise NotSentError(receipts, self._reason)

    async def send_batch(self, pairs: list[tuple[str, str]], **options: Any) -> tuple[Receipt, ...]:
        return await self.send([number for number, _ in pairs], "", **options)


def router_to(heard: list[tuple[str, str]]) -> failover.ReceiptRouter:
    """Return a router that records the number and the transport of each receipt."""
    router = failover.ReceiptRouter()
    router.subscribe(lambda receipt, transport: heard.append((receipt.number, transport)))
    return router


async def test_withheld_receipts_are_published_if_the_call_is_cancelled() -> None:
    heard: list[tuple[str, str]] = []
    router = router_to(heard)
    stuck: Any = Stub(router.on_receipt("http"), sticks=True)
    both = failover.FailoverClient(stuck, stuck, router)
    sending = asyncio.create_task(both.send(TextMessage([ALICE], "x"), {}))
    await stuck.begun.wait()
    assert heard == []
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert heard == [(ALICE, "http")]


async def test_first_receipts_stay_if_the_second_transport_rejects_the_text(sandbox: Sandbox) -> None:
    heard: list[tuple[str, str]] = []
    router = router_to(heard)
    cmpp: Any = Stub(router.on_receipt("cmpp"), connected=True)
    home = Account("homeuser", "secret", product_id="61341")
    async with AsyncClient(home, gateway=sandbox.url, single_rows=False) as http:
        both = failover.FailoverClient(http, cmpp, router)
        receipts = await both.send(BatchMessage([ALICE], ["价格 $5"]), {})
    assert outcomes(list(receipts)) == [(ALICE, "not_sent")]
    assert heard == [(ALICE, "cmpp")]


async def test_message_cancelled_by_a_closing_transport_is_sent_by_the_other(
    entry: MockConfigEntry, sandbox: Sandbox, recorded: list[Receipt]
) -> None:
    real = entry.runtime_data.client.failover
    cmpp: Any = Stub(real._receipts.on_receipt("cmpp"), connected=True, reason=Reason.CANCELLED)
    both = failover.FailoverClient(real.http, cmpp, real._receipts)
    assert outcomes(list(await both.send(TextMessage([ALICE], "后门打开"), {}))) == [(ALICE, "accepted")]
    assert (sent(sandbox), by_cmpp(sandbox)) == ([(ALICE, "后门打开")], 0)
    assert [receipt.outcome for receipt in recorded] == [Outcome.ACCEPTED]


async def test_second_transport_has_the_remaining_time() -> None:
    router = failover.ReceiptRouter()
    http: Any = Stub(router.on_receipt("http"))
    cmpp: Any = Stub(router.on_receipt("cmpp"), connected=True)
    both = failover.FailoverClient(http, cmpp, router)
    receipts = await both.send(TextMessage([ALICE], "x"), {"deadline": 20.0, "patience": 10.0})
    assert outcomes(list(receipts)) == [(ALICE, "not_sent")]
    assert (cmpp.given["deadline"], cmpp.given["patience"]) == (20.0, 0.2)
    assert 19.0 < http.given["deadline"] < 20.0
    assert http.given["patience"] == 10.0


async def test_balance_requires_http() -> None:
    router = failover.ReceiptRouter()
    cmpp: Any = Stub(router.on_receipt("cmpp"))
    both = failover.FailoverClient(None, cmpp, router)
    with pytest.raises(failover.NoHTTPError) as caught:
        await both.balance()
    assert "HTTP" in caught.value.sentence("zh")


async def test_call_cancelled_before_it_is_journaled_is_not_sent(
    hass: HomeAssistant, entry: MockConfigEntry, recorded: list[Receipt], sandbox: Sandbox
) -> None:
    store = hass.data[DATA_STORE].for_entry(entry).store
    disk = threading.Event()
    store._writer.submit(lambda _: disk.wait(10))
    sending = asyncio.create_task(send_text(entry.runtime_data.client, [ALICE], "后门打开"))
    await asyncio.sleep(0)
    sending.cancel()
    disk.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await poll(lambda: recorded)
    assert [(receipt.outcome, receipt.reason) for receipt in recorded] == [(Outcome.NOT_SENT, Reason.CANCELLED)]
    await asyncio.sleep(0)  # the answer is written in the next turn of the loop
    (stored,) = await asyncio.wrap_future(store.messages(HistoryQuery(entries=[entry.entry_id])))
    assert isinstance(stored, StoredOut)
    assert stored.outcome is Outcome.NOT_SENT
    assert sent(sandbox) == []


async def test_late_response_settles_the_unknown_message(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, until: Until
) -> None:
    sandbox.cmpp.late = 0.8
    sandbox.platform.config = replace(sandbox.platform.config, report_delay=1.0)
    sandbox.cmpp.faults.next("late_answer")
    (receipt,) = await send_text(entry.runtime_data.client, [ALICE], "后门打开")
    assert receipt.outcome is Outcome.UNKNOWN
    await until(lambda: hass.states.get("sensor.alice_last_delivery_state").state == "delivered")
    store = hass.data[DATA_STORE].for_entry(entry).store
    (stored,) = await asyncio.wrap_future(store.messages(HistoryQuery(entries=[entry.entry_id])))
    assert isinstance(stored, StoredOut)
    assert (stored.text, stored.outcome, stored.state.value, stored.transport) == (
        "后门打开",
        Outcome.ACCEPTED,
        "delivered",
        "cmpp",
    )
    assert len(stored.message_ids) == 1


async def push(client: ClientSessionGenerator, **fields: str) -> None:
    response = await (await client()).get("/api/webhook/webhook-id-of-the-tests", params=fields)
    assert (response.status, await response.text()) == (200, "0")


@pytest.mark.usefixtures("entry")
async def test_reply_received_by_both_transports_counts_once(
    hass: HomeAssistant, sandbox: Sandbox, hass_client_no_auth: ClientSessionGenerator, until: Until
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    sandbox.platform.reply(ALICE, "1", extension="12", username="homeuser")
    await until(lambda: messages)
    await push(hass_client_no_auth, mobile=ALICE, content="1", xh="10690000168012")
    await push(hass_client_no_auth, mobile=ALICE, content="2", xh="12")
    sandbox.platform.reply(ALICE, "2", extension="12", username="homeuser")
    await until(lambda: len(messages) == 4)
    said = [(message.data["content"], message.data["via"], message.data["redelivered"]) for message in messages]
    assert said == [("1", "cmpp", False), ("1", "webhook", True), ("2", "webhook", False), ("2", "cmpp", True)]


@pytest.mark.usefixtures("entry")
async def test_two_equal_replies_received_by_both_transports_stay_two(
    hass: HomeAssistant, sandbox: Sandbox, hass_client_no_auth: ClientSessionGenerator, until: Until
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    for _ in range(2):
        sandbox.platform.reply(ALICE, "1", extension="", username="homeuser")
    await until(lambda: len(messages) == 2)
    await push(hass_client_no_auth, mobile=ALICE, content="1")
    await until(lambda: len(messages) == 3)
    assert [message.data["redelivered"] for message in messages] == [False, False, True]


async def test_report_received_by_both_transports_counts_once(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client_no_auth: ClientSessionGenerator,
    until: Until,
) -> None:
    reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
    (receipt,) = await send_text(entry.runtime_data.client, [ALICE], "后门打开")
    await until(lambda: reports)
    await push(hass_client_no_auth, msgid=str(receipt.message_id), mobile=ALICE, status="0")
    await until(lambda: len(reports) == 2)
    assert [(report.data["state"], report.data["redelivered"]) for report in reports] == [
        ("delivered", False),
        ("delivered", True),
    ]


async def test_source_number_of_the_connection_splits_pushed_extensions(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator
) -> None:
    alice = entry.subentries["alice"]
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, const.CONF_EXTENSION: "80"})
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    for number in ("106900001680", "10690000168080", "106900001680180"):
        await push(hass_client_no_auth, mobile=ALICE, content=number, xh=number)
    assert [message.data["extension"] for message in messages] == ["", "80", "180"]
