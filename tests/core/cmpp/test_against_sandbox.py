"""The client against the sandbox's CMPP side over a real socket, in good weather and in bad."""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sms1680 import (
    AuthenticationError,
    BalanceError,
    DeliveryReport,
    Outcome,
    Reason,
    Receipt,
    RefusedError,
    Reply,
    SendError,
)
from sms1680.cmpp import CMPPClient, Status
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.sandbox import Account, Config, Sandbox
from sms1680.sandbox.cmpp.faults import DELIVER_FAULTS, REPORT_FAULTS, SUBMIT_FAULTS, CMPPFault

NUMBER = "13800138000"
MESSAGES = int(os.environ.get("SMS1680_CMPP_MESSAGES", "2000"))


def client_of(box: Sandbox, **settings: Any) -> CMPPClient:
    account = box.config.accounts[0]
    given = {"sp_id": account.sp_id, "secret": account.password, "source_number": account.source_number} | settings
    return CMPPClient("127.0.0.1", box.cmpp.port, **given)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    config = Config(accounts=(Account(products={"61341": 10_000_000}),), report_delay=0.0, cmpp_port=0)
    async with Sandbox(config) as sandbox:
        yield sandbox


async def test_message_report_and_reply_make_the_round_trip(box: Sandbox) -> None:
    async with client_of(box, signature="某某科技") as client, asyncio.timeout(20):
        [receipt] = await client.send(NUMBER, "后门 22:41 打开", extension="12")
        report = await anext(client)
        assert report == DeliveryReport(str(receipt.message_id), NUMBER, "DELIVRD")
        assert box.platform.phone(NUMBER).texts == ["【某某科技】后门 22:41 打开"]
        box.platform.reply(NUMBER, "好的，" * 50)
        reply = await anext(client)
    assert isinstance(reply, Reply)
    assert (reply.number, reply.content, reply.extension) == (NUMBER, "好的，" * 50, "12")
    await box.wait_for(lambda platform: [uplink.push for uplink in platform.uplinks] == ["delivered"])


async def test_a_long_message_is_one_on_the_phone_and_has_one_report(box: Sandbox) -> None:
    async with client_of(box) as client, asyncio.timeout(20):
        [receipt] = await client.send(NUMBER, "【某某科技】" + "门" * 200)
        assert (await anext(client)).message_id == receipt.message_id
        assert box.platform.phone(NUMBER).texts == ["【某某科技】" + "门" * 200]
        await box.wait_for(lambda _: box.cmpp.acknowledged == box.cmpp.queued == 4)
    assert [item async for item in client] == []


async def test_items_received_while_disconnected_are_delivered_later(box: Sandbox) -> None:
    async with client_of(box) as client:
        await client.send(NUMBER, "hello")
        await anext(client)
    box.platform.reply(NUMBER, "Y")
    async with client_of(box) as client, asyncio.timeout(20):
        assert isinstance(await anext(client), Reply)


async def test_refusals_by_the_platform(box: Sandbox) -> None:
    async with client_of(box) as client:
        with pytest.raises(RefusedError) as caught:
            await client.send(NUMBER, "代开发票")
        assert caught.value.reason is Reason.FORBIDDEN_WORDS
        box.platform.accounts["demo"].balances["61341"] = 0
        with pytest.raises(BalanceError):
            await client.send(NUMBER, "hello")
    with pytest.raises(AuthenticationError):
        await client_of(box, secret="wrong").try_login()
    changes: asyncio.Queue[Status] = asyncio.Queue()
    clients = [client_of(box, on_status=changes.put_nowait) for _ in range(5)]
    for other in clients:
        other.start()
    async with asyncio.timeout(20):
        assert all([(await changes.get()).connected for _ in clients])
    with pytest.raises(RefusedError) as caught:
        await client_of(box).try_login()
    assert caught.value.reason is Reason.SUSPENDED
    await asyncio.gather(*[other.aclose() for other in clients])


async def test_each_fault_alone_is_survived(box: Sandbox) -> None:
    for fault in CMPPFault:
        box.cmpp.faults.clear()
        storm = Storm(box, messages=12, draw=Once(fault))
        await storm.run()
        assert box.cmpp.faults.happened[fault] >= 1, fault
        storm.judge()


class Once:
    """Draws a fault for the fifth of its kind, and no other."""

    def __init__(self, fault: CMPPFault) -> None:
        self.fault = fault
        self.count = 0

    def __call__(self, kinds: tuple[CMPPFault, ...]) -> CMPPFault | None:
        if self.fault not in kinds:
            return None
        self.count += 1
        return self.fault if self.count == 5 else None


class Chance:
    """Draws a fault about every 40th time: each kind once in an order of its own, then again in another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bags: dict[tuple[CMPPFault, ...], list[CMPPFault]] = {}

    def __call__(self, kinds: tuple[CMPPFault, ...]) -> CMPPFault | None:
        if self.random.random() > 1 / 40:
            return None
        bag = self.bags.setdefault(kinds, [])
        if not bag:
            bag += self.random.sample(kinds, len(kinds))
        return bag.pop()


class Storm:
    """Sends many messages through faults, with replies in between, and then compares the two sides.

    Of ten calls six are a short text to one number, two a long one, one a text to three numbers, one two texts to two
    numbers. refusals: the application sometimes rejects an item.
    """

    def __init__(
        self,
        box: Sandbox,
        messages: int,
        draw: Callable[[tuple[CMPPFault, ...]], CMPPFault | None],
        refusals: random.Random | None = None,
        **settings: Any,
    ) -> None:
        self.box = box
        self.messages = messages
        self.settings = settings
        self.refusals = refusals
        self.first = len(box.platform.messages)
        self.sent: list[tuple[str, str]] = []
        self.returned: dict[str, Receipt] = {}
        self.told: dict[str, Receipt] = {}
        self.incoming: list[Any] = []
        self.replies: list[str] = []
        self.reports: Counter[tuple[str, str, str]] = Counter()
        box.cmpp.late = box.cmpp.down = 0.05
        box.cmpp.resend = 0.5
        box.cmpp.faults.choose_submit = lambda: draw(SUBMIT_FAULTS)
        box.cmpp.faults.choose_deliver = lambda: draw(DELIVER_FAULTS)
        box.cmpp.faults.choose_report = lambda: draw(REPORT_FAULTS)
        box.cmpp.reports.deliver = self.hand_over

    def hand_over(self, username: str, content: ReportContent) -> None:
        """Notes what the sandbox reports."""
        self.reports[str(content.msg_id), content.dest_terminal_id, content.stat] += 1
        self.box.cmpp.queue_report(username, content)

    async def run(self) -> None:
        async def hurry(delay: float) -> None:
            await asyncio.sleep(min(delay, 0.02))

        client = client_of(
            self.box,
            sleep=hurry,
            answer_timeout=0.6,
            idle=0.5,
            silence=0.3,
            connect_timeout=2.0,
            window=16,
            patience=20.0,
            on_receipt=self.tell,
            on_incoming=self.take if self.refusals else None,
            **self.settings,
        )
        reader = asyncio.create_task(self.read(client))
        async with client:
            work = iter(range(self.messages))
            await asyncio.gather(*[self.send(client, work) for _ in range(32)])
            self.box.cmpp.faults.clear()
            await self.box.wait_for(lambda _: self.box.cmpp.acknowledged == self.box.cmpp.queued, 60)
            self.refusals = None
        await reader

    def tell(self, receipt: Receipt) -> None:
        self.told[receipt.number] = receipt

    def take(self, item: Any) -> None:
        if self.refusals is not None and self.refusals.random() < 1 / 40:
            raise OSError("disk full")
        self.incoming.append(item)

    async def read(self, client: CMPPClient) -> None:
        by_callback = self.refusals is not None
        async for item in client:
            if not by_callback:
                self.incoming.append(item)

    async def send(self, client: CMPPClient, work: Any) -> None:
        for place in work:
            kind = place % 10
            numbers = [f"139{place:07d}{other}" for other in range({8: 3, 9: 2}.get(kind, 1))]
            text = f"message {place} of {self.first}" + ("，门开了" * 20 if kind in (6, 7) else "")
            pairs = [(number, f"{text} to {number}" if kind == 9 else text) for number in numbers]
            self.sent += pairs
            try:
                receipts = await (client.send_batch(pairs) if kind == 9 else client.send(numbers, text))
            except SendError as error:
                receipts = error.receipts
            self.returned |= {receipt.number: receipt for receipt in receipts}
            if kind == 0:
                self.replies.append(f"reply {place} of {self.first}" + ("，好的" * 40 if place % 20 else ""))
                self.box.platform.reply(numbers[0], self.replies[-1], username="demo", extension="")

    def judge(self) -> None:
        at_platform = Counter((m.number, m.text) for m in self.box.platform.messages[self.first :])
        assert max(at_platform.values()) == 1, "sent twice"
        assert self.returned.keys() == {number for number, _ in self.sent}
        for number, text in self.sent:
            receipt = self.returned[number]
            assert (receipt.outcome, at_platform[number, text]) in {
                (Outcome.ACCEPTED, 1),
                (Outcome.NOT_SENT, 0),
                (Outcome.REFUSED, 0),
                (Outcome.UNKNOWN, 0),
                (Outcome.UNKNOWN, 1),
            }, receipt
        self.judge_reports()
        replies = Counter(item.content for item in self.incoming if isinstance(item, Reply))
        assert replies == Counter(self.replies)

    def judge_reports(self) -> None:
        """Each report is handed on once, those of a long message as its one result."""
        handed = Counter(
            (item.message_id, item.number, item.status) for item in self.incoming if isinstance(item, DeliveryReport)
        )
        wanted = self.reports.copy()
        for receipt in self.told.values():
            if receipt.outcome is not Outcome.ACCEPTED or receipt.segments == 1:
                continue
            number, name = receipt.number, str(receipt.message_id)
            of_segments = {key: wanted.pop(key) for key in list(wanted) if key[1] == number}
            results = {key: handed.pop(key) for key in list(handed) if key[1] == number}
            stats = {stat for _, _, stat in of_segments}
            result = (name, number, "UNDELIV" if "UNDELIV" in stats else "DELIVRD")
            if self.returned[number].outcome is Outcome.ACCEPTED:
                results.pop((name, number, "ACCEPTD"), None)
                assert results == {result: 1}
            else:  # its last answer came late: until then each segment was reported by itself
                assert results
        assert handed == wanted


@pytest.mark.parametrize(
    ("share", "refuses", "settings"),
    [
        pytest.param(1, False, {}, id="iterator"),
        pytest.param(4, True, {}, id="callback"),
        pytest.param(10, True, {"rate": 2000.0}, id="rate"),
    ],
)
async def test_storm_of_faults_loses_and_doubles_no_message(
    box: Sandbox, share: int, refuses: bool, settings: dict[str, Any]
) -> None:
    """SMS1680_CMPP_MESSAGES=20000 is the issue's own size, `--log-cli-level=INFO` shows what happened."""
    refusals = random.Random(4) if refuses else None
    storm = Storm(box, MESSAGES // share, Chance(1680), refusals, **settings)
    await storm.run()
    storm.judge()
    outcomes = Counter(receipt.outcome for receipt in storm.returned.values())
    assert outcomes[Outcome.ACCEPTED] > 0.75 * len(storm.returned)
    assert outcomes[Outcome.UNKNOWN] > 0
    assert share > 1 or len(box.cmpp.faults.happened) == len(CMPPFault)
    figures: dict[str, int] = {"calls": storm.messages, "messages": len(storm.sent), **outcomes}
    figures |= {"reports": storm.reports.total(), "replies": len(storm.replies)}
    logging.getLogger(__name__).info("%s, %s", figures, box.cmpp.faults.happened)
