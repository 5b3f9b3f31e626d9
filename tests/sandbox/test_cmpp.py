"""The platform's CMPP side, tested with single PDUs: status and result values, reports and uplinks."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sms1680.cmpp.wire.auth import connect_request, is_authentic
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.longsms import concatenation_header
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    ConnectResp,
    Deliver,
    DeliverResp,
    Query,
    QueryResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
    Unknown,
)
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.cmpp.wire.smpptime import smpp_time
from sms1680.sandbox import Account, Config, Sandbox
from sms1680.sandbox.cmpp.faults import CMPPFault, CMPPFaults

NUMBER = "13800138000"
ACCOUNT = Account(products={"61341": 5}, service_id="HELP", networks=("127.0.0.0/8",), cmpp_connections=2)
PUSHED = Account(
    username="pushed", sp_id="901681", report_address="http://127.0.0.1:9/", uplink_address="http://127.0.0.1:9/"
)
Boxes = Callable[..., Any]


class Peer:
    """A client that sends and receives PDUs without any rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = Decoder()
        self.received: list[Any] = []

    def send(self, *pdus: PDU) -> None:
        self.writer.write(b"".join(map(encode, pdus)))

    async def receive(self, kind: type) -> Any:
        """Return the next PDU of a kind, or None if the platform closed the connection."""
        async with asyncio.timeout(10):
            while True:
                for place, pdu in enumerate(self.received):
                    if isinstance(pdu, kind):
                        return self.received.pop(place)
                data = await self.reader.read(65536)
                if not data:
                    return None
                self.received += self.decoder.receive(data)

    async def ask(self, pdu: PDU, kind: type) -> Any:
        self.send(pdu)
        return await self.receive(kind)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(Config(accounts=(ACCOUNT, PUSHED), report_delay=0.0, cmpp_port=0, cmpp_resend=0.05)) as sandbox:
        yield sandbox


@pytest.fixture
async def connect(box: Sandbox) -> AsyncIterator[Callable[..., Any]]:
    peers: list[Peer] = []

    async def make(other: Sandbox = box) -> Peer:
        peers.append(Peer(*await asyncio.open_connection("127.0.0.1", other.cmpp.port)))
        return peers[-1]

    yield make
    for peer in peers:
        peer.writer.transport.abort()


def login_pdu(account: Account = ACCOUNT, **changes: Any) -> Any:
    given = {"sp_id": account.sp_id, "secret": account.password} | changes
    return connect_request(1, given["sp_id"], given["secret"], "1122120000")


async def logged_in(connect: Any) -> Peer:
    peer: Peer = await connect()
    answer = await peer.ask(login_pdu(), ConnectResp)
    assert answer.status == 0
    return peer


def submit(**changes: Any) -> Submit:
    given: dict[str, Any] = {
        "sequence_id": 7,
        "service_id": "HELP",
        "msg_src": ACCOUNT.sp_id,
        "src_id": ACCOUNT.source_number,
        "dest_terminal_id": (NUMBER,),
        "msg_content": b"hello",
    }
    return Submit(**(given | changes))


# --- CONNECT ---------------------------------------------------------------------------------------------------------


async def test_login_is_answered_with_proof(box: Sandbox, connect: Any) -> None:
    peer = await connect()
    pdu = login_pdu()
    answer = await peer.ask(pdu, ConnectResp)
    assert is_authentic(answer.authenticator_ismg, 0, pdu.authenticator_source, ACCOUNT.password)
    assert len(box.cmpp.mailbox("demo").connections) == 1


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (struct.pack(">III", 40, 1, 1) + bytes(28), 1),
        (encode(login_pdu(secret="wrong")), 3),
        (encode(login_pdu(sp_id="000000")), 3),
        (encode(login_pdu())[:34] + b"\x30" + encode(login_pdu())[35:], 4),
    ],
)
async def test_invalid_login_is_refused(connect: Any, octets: bytes, status: int) -> None:
    peer = await connect()
    peer.writer.write(octets)
    assert (await peer.receive(ConnectResp)).status == status
    assert await peer.receive(ConnectResp) is None


async def test_login_is_refused_by_address_suspension_or_connection_limit(box: Sandbox, connect: Any) -> None:
    first, second = await logged_in(connect), await logged_in(connect)
    third = await connect()
    assert (await third.ask(login_pdu(), ConnectResp)).status == 5
    assert len(box.cmpp.mailbox("demo").connections) == len((first, second))
    for change, status in (({"networks": ("10.0.0.0/8",)}, 2), ({"suspended": True, "networks": ()}, 5)):
        changed = Account(**({"products": ACCOUNT.products} | change))
        async with Sandbox(Config(accounts=(changed,), cmpp_port=0)) as other:
            peer = await connect(other)
            assert (await peer.ask(login_pdu(changed), ConnectResp)).status == status


async def test_submit_before_login_is_refused(box: Sandbox, connect: Any) -> None:
    peer = await connect()
    assert (await peer.ask(submit(), SubmitResp)).result == 2
    assert await peer.receive(SubmitResp) is None
    assert box.platform.messages == []


# --- SUBMIT ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pdu", "result"),
    [
        (submit(), 0),
        (submit(msg_content=b""), 4),
        (submit(fee_code="free"), 5),
        (submit(msg_content=b"x" * 160), 6),
        (submit(service_id="OTHER"), 7),
        (submit(msg_src="901681"), 9),
        (submit(dest_terminal_id=(NUMBER, "12345")), 11),
        (submit(msg_content="代开发票".encode("utf-16-be"), msg_fmt=8), 12),
        (submit(dest_terminal_id=tuple(f"138{place:08d}" for place in range(6))), 13),
        (submit(src_id="1069"), 14),
    ],
)
async def test_submit_results(box: Sandbox, connect: Any, pdu: Submit, result: int) -> None:
    peer = await logged_in(connect)
    answer = await peer.ask(pdu, SubmitResp)
    assert (answer.sequence_id, answer.result) == (7, result)
    assert bool(answer.msg_id) is (result == 0)
    assert len(box.platform.messages) == (1 if result == 0 else 0)


async def test_malformed_submit_is_answered(connect: Any) -> None:
    peer = await logged_in(connect)
    octets = bytearray(encode(submit()))
    octets[150] += 1
    peer.writer.write(bytes(octets))
    assert (await peer.receive(SubmitResp)).result == 1
    peer.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await peer.receive(SubmitResp) is None


async def test_submit_without_product_or_above_the_rate_is_refused(connect: Any) -> None:
    account = Account(products={}, rate=0.001)
    async with Sandbox(Config(accounts=(account, Account(username="b", sp_id="2", rate=0.001)), cmpp_port=0)) as other:
        peer = await connect(other)
        await peer.ask(login_pdu(account), ConnectResp)
        assert (await peer.ask(submit(service_id=""), SubmitResp)).result == 10
        rated = await connect(other)
        await rated.ask(login_pdu(account, sp_id="2"), ConnectResp)
        results = [(await rated.ask(submit(service_id="", msg_src="2"), SubmitResp)).result for _ in range(2)]
        assert results == [0, 8]


async def test_submits_beyond_the_window_are_too_fast(box: Sandbox, connect: Any) -> None:
    box.cmpp.faults.next("late_answer", 20)
    peer = await logged_in(connect)
    peer.send(*[submit(sequence_id=place) for place in range(17)])
    first = await peer.receive(SubmitResp)
    assert (first.sequence_id, first.result) == (16, 8)


# --- other commands --------------------------------------------------------------------------------------------------


async def test_query_cancel_active_test_and_terminate(box: Sandbox, connect: Any) -> None:
    peer = await logged_in(connect)
    at = datetime.now(UTC) + timedelta(hours=1)
    later = await peer.ask(submit(at_time=smpp_time(at)), SubmitResp)
    await peer.ask(submit(), SubmitResp)
    assert [message.sent_at is None for message in box.platform.messages] == [True, False]
    today = smpp_time(datetime.now(UTC))[:6]
    counts = await peer.ask(Query(sequence_id=1, time=f"20{today}"), QueryResp)
    assert (counts.mt_tlmsg, counts.mt_tlusr) == (2, 2)
    balance = box.platform.accounts["demo"].balances["61341"]
    assert (await peer.ask(Cancel(sequence_id=2, msg_id=later.msg_id), CancelResp)).success_id == 0
    assert (await peer.ask(Cancel(sequence_id=3, msg_id=later.msg_id), CancelResp)).success_id == 1
    assert (await peer.ask(Cancel(sequence_id=4, msg_id=1), CancelResp)).success_id == 1
    assert box.platform.accounts["demo"].balances["61341"] == balance + 1
    peer.send(Unknown(sequence_id=5, command_id=0x77, body=b""))
    assert (await peer.ask(ActiveTest(sequence_id=6), ActiveTestResp)).sequence_id == 6
    assert (await peer.ask(Terminate(sequence_id=7), TerminateResp)).sequence_id == 7
    assert await peer.receive(TerminateResp) is None


async def test_silent_connection_is_tested_and_closed(connect: Any) -> None:
    async with Sandbox(Config(accounts=(ACCOUNT,), cmpp_port=0, cmpp_idle=0.02)) as box:
        peer = await connect(box)
        await peer.ask(login_pdu(), ConnectResp)
        for _ in range(3):
            assert await peer.receive(ActiveTest) is not None
        assert await peer.receive(ActiveTest) is None


async def test_terminate_from_the_platform_ends_the_connection(box: Sandbox, connect: Any) -> None:
    box.cmpp.faults.next(CMPPFault.TERMINATE)
    peer = await logged_in(connect)
    peer.send(submit())
    terminate = await peer.receive(Terminate)
    peer.send(TerminateResp(sequence_id=terminate.sequence_id))
    assert await peer.receive(Terminate) is None


# --- reports and uplinks ---------------------------------------------------------------------------------------------


LONG = "门" * 80


def segment(number: int, **changes: Any) -> Submit:
    content = concatenation_header(9, 2, number) + (LONG[:67], LONG[67:])[number - 1].encode("utf-16-be")
    return submit(msg_content=content, tp_udhi=1, msg_fmt=8, pk_total=2, pk_number=number, **changes)


async def report(peer: Peer) -> tuple[int, str]:
    """Wait for the next report, acknowledge it, and return its Msg_Id and Stat."""
    pdu = await peer.receive(Deliver)
    peer.send(DeliverResp(sequence_id=pdu.sequence_id, msg_id=pdu.msg_id))
    content = ReportContent.of(pdu)
    return content.msg_id, content.stat


async def test_a_report_says_when_the_segment_was_submitted_and_done(connect: Any) -> None:
    config = Config(accounts=(ACCOUNT,), report_delay=0.0, cmpp_port=0)
    times = iter([datetime(2026, 12, 31, 15, 59, 58, tzinfo=UTC), *[datetime(2026, 12, 31, 16, 1, tzinfo=UTC)] * 1000])
    async with Sandbox(config) as box:
        peer = await logged_in(lambda: connect(box))
        box.platform.clock = lambda: next(times).timestamp()
        answer = await peer.ask(submit(), SubmitResp)
        content = ReportContent.of(await peer.receive(Deliver))
    assert content.msg_id == answer.msg_id
    assert (content.submit_time, content.done_time) == ("2612312359", "2701010001")


async def test_segment_is_reported_before_the_next_one_arrives(box: Sandbox, connect: Any) -> None:
    box.cmpp.faults.next(CMPPFault.ACCEPTED_FIRST)
    box.cmpp.faults.next(CMPPFault.SEGMENT_FAILED)
    peer = await logged_in(connect)
    first = await peer.ask(segment(1), SubmitResp)
    assert await report(peer) == (first.msg_id, "ACCEPTD")
    assert await report(peer) == (first.msg_id, "DELIVRD")
    assert box.platform.messages == []
    second = await peer.ask(segment(2), SubmitResp)
    assert await report(peer) == (second.msg_id, "UNDELIV")
    assert box.platform.phone(NUMBER).texts == [LONG]
    assert box.cmpp.queued == 3


@pytest.mark.parametrize(("manual", "delay"), [(True, 0.0), (False, 0.2)])
async def test_segments_of_a_held_message_are_reported_after_the_decision(
    connect: Any, *, manual: bool, delay: float
) -> None:
    account = Account(products={"61341": 5}, service_id="HELP", manual=manual)
    config = Config(accounts=(account,), review_words=("门",), report_delay=delay, cmpp_port=0)
    async with Sandbox(config) as box:
        peer = await connect(box)
        await peer.ask(login_pdu(account), ConnectResp)
        ids = [(await peer.ask(segment(number), SubmitResp)).msg_id for number in (1, 2)]
        [held] = box.platform.held
        reports_were_due = asyncio.Event()
        box.platform.later(box.platform.clock() + delay, reports_were_due.set)
        box.platform.changed()
        await asyncio.wait_for(reports_were_due.wait(), 10)
        assert box.cmpp.queued == 0
        box.platform.decide(held.message_id, approve=False)
        assert [await report(peer), await report(peer)] == [(ids[0], "KX:1000"), (ids[1], "KX:1000")]


async def test_each_segment_is_reported_until_acknowledged(box: Sandbox, connect: Any) -> None:
    peer = await logged_in(connect)
    ids = [(await peer.ask(segment(number), SubmitResp)).msg_id for number in (1, 2)]
    assert box.platform.phone(NUMBER).texts == [LONG]
    first, second = await peer.receive(Deliver), await peer.receive(Deliver)
    assert [ReportContent.of(pdu).msg_id for pdu in (first, second)] == ids
    assert ReportContent.of(first).stat == "DELIVRD"
    assert await peer.receive(Deliver) == first
    peer.send(DeliverResp(sequence_id=first.sequence_id, msg_id=first.msg_id))
    peer.send(DeliverResp(sequence_id=second.sequence_id, msg_id=second.msg_id))
    await box.wait_for(lambda _: box.cmpp.acknowledged == 2)


async def test_unanswered_report_is_sent_over_the_next_connection(connect: Any) -> None:
    peer = await logged_in(connect)
    await peer.ask(submit(), SubmitResp)
    assert [await peer.receive(Deliver) is not None for _ in range(3)] == [True] * 3
    assert await peer.receive(Deliver) is None
    again = await logged_in(connect)
    assert await again.receive(Deliver) is not None


async def test_uplinks_use_the_connection_or_are_pushed(box: Sandbox, connect: Any) -> None:
    peer = await logged_in(connect)
    uplink = box.platform.reply(NUMBER, "好的", username="demo", extension="88")
    pdu = await peer.receive(Deliver)
    assert (pdu.src_terminal_id, pdu.dest_id) == (NUMBER, ACCOUNT.source_number + "88")
    assert pdu.msg_content.decode("utf-16-be") == "好的"
    assert uplink.push == "waiting"
    peer.send(DeliverResp(sequence_id=pdu.sequence_id, msg_id=pdu.msg_id))
    await box.wait_for(lambda _: uplink.push == "delivered")
    box.platform.reply(NUMBER, "Y", username="pushed", extension="")
    assert box.platform.pushes.waiting == 1


def test_faults_are_consumed_in_order_and_by_kind() -> None:
    faults = CMPPFaults()
    faults.next("redelivered")
    faults.next(CMPPFault.LOST_ANSWER)
    assert faults.next_for_submit() is None
    assert faults.next_for_deliver() is CMPPFault.REDELIVERED
    assert faults.next_for_submit() is CMPPFault.LOST_ANSWER
    assert faults.happened == {CMPPFault.REDELIVERED: 1, CMPPFault.LOST_ANSWER: 1}
    faults.next(CMPPFault.LOST_ANSWER)
    faults.clear()
    assert faults.next_for_submit() is None
    with pytest.raises(ValueError, match="nonsense"):
        faults.next("nonsense")
