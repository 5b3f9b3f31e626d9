"""What the platform answers over CMPP 2.0: the document's tables 3.2 and 3.3, on the state that HTTP has too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count

from sms1680.cmpp.wire.auth import connect_request
from sms1680.cmpp.wire.longsms import SegmentAssembler, split_header
from sms1680.cmpp.wire.msgid import MsgId
from sms1680.cmpp.wire.pdus import Connect, QueryResp, Submit
from sms1680.cmpp.wire.texts import read_text_content

from .accounts import AccountState
from .cmppreports import SegmentReports
from .groups import CHINA_TIME
from .platform import LONGEST_SOURCE, Platform
from .records import State
from .verdicts import Result, Verdict

OK, MALFORMED, WRONG_ADDRESS, NOT_AUTHENTIC, VERSION_TOO_HIGH, SUSPENDED = range(6)
HIGHEST_VERSION = 0x21
_ASSEMBLY_TIME = 60.0
_GATEWAY_CODE = 1680
_TIME = re.compile(r"(\d{12})\d(\d\d)([+-])")

_HELD = frozenset({Verdict.REVIEW, Verdict.MANUAL})
_RESULTS = {
    Verdict.ACCEPTED: 0,
    Verdict.REVIEW: 0,
    Verdict.MANUAL: 0,
    Verdict.FAILED: 1,
    Verdict.USER: 3,
    Verdict.EMPTY: 4,
    Verdict.TOO_MANY: 4,
    Verdict.PARAMETER: 7,
    Verdict.TOO_FAST: 8,
    Verdict.PERMISSION: 10,
    Verdict.PRODUCT: 10,
    Verdict.NUMBER: 11,
    Verdict.FORBIDDEN_WORDS: 12,
    Verdict.SIGNATURE: 12,
    Verdict.BALANCE: 13,
    Verdict.LONG_NUMBER: 14,
}


@dataclass(slots=True)
class Judgement:
    """What a SUBMIT is answered with; `verdict` and `account` are for telling the platform when the answer goes out."""

    result: int
    msg_id: int = 0
    account: AccountState | None = None
    verdict: Result | None = None


@dataclass(slots=True)
class Rules:
    """Judges logins and SUBMITs, and has the segments reported."""

    platform: Platform
    reports: SegmentReports
    _serials: count[int] = field(default_factory=count)
    _assembler: SegmentAssembler = field(default_factory=lambda: SegmentAssembler(_ASSEMBLY_TIME))

    def login(self, pdu: Connect, address: str, connections: int) -> tuple[int, AccountState | None]:
        """Return the Status of table 3.2 for a CONNECT, and the account when it is let in."""
        account = self.account(pdu.source_addr)
        if pdu.version > HIGHEST_VERSION:
            return VERSION_TOO_HIGH, None
        if account is None:
            return NOT_AUTHENTIC, None
        if not account.admits(address):
            return WRONG_ADDRESS, None
        wanted = connect_request(pdu.sequence_id, pdu.source_addr, account.config.password, f"{pdu.timestamp:010d}")
        if wanted.authenticator_source != pdu.authenticator_source:
            return NOT_AUTHENTIC, None
        if account.config.suspended or connections >= account.config.cmpp_connections:
            return SUSPENDED, None
        return OK, account

    def account(self, sp_id: str) -> AccountState | None:
        """Return the account of an SP id."""
        return next((state for state in self.platform.accounts.values() if sp_id and state.config.sp_id == sp_id), None)

    def new_id(self) -> int:
        """Return a Msg_Id of now, as the standard builds them."""
        now = datetime.fromtimestamp(self.platform.clock(), CHINA_TIME)
        serial = next(self._serials)
        return int(
            MsgId(
                month=now.month,
                day=now.day,
                hour=now.hour,
                minute=now.minute,
                second=now.second,
                gateway=_GATEWAY_CODE + (serial >> 16),
                sequence=serial & 0xFFFF,
            )
        )

    def submit(self, account: AccountState, pdu: Submit) -> Judgement:
        """Judge a SUBMIT by table 3.3; a segment is judged with its message, by its last one."""
        fault = self._fault(account, pdu)
        if fault is not None:
            return Judgement(fault)
        msg_id = self.new_id()
        now = self.platform.clock()
        segment, body = split_header(pdu.msg_content) if pdu.tp_udhi & 1 else (None, pdu.msg_content)
        ids: tuple[int, ...] = (msg_id,)
        if segment is not None and segment.total > 1:
            key = (account.username, pdu.src_id, pdu.dest_terminal_id, pdu.msg_fmt)
            whole = [one for one in self._assembler.add(key, segment, body, msg_id, now) if not one.incomplete]
            if not whole:
                self._go_ahead(account, pdu, msg_id)
                return Judgement(OK, msg_id)
            body = b"".join(whole[0].parts.values())
            ids = tuple([token for token in whole[0].tokens if isinstance(token, int)])
        text = read_text_content(body, pdu.msg_fmt)
        result = self.platform.submit(
            account,
            next(iter(account.balances), ""),
            [(plain(number), text) for number in pdu.dest_terminal_id],
            extension=pdu.src_id.removeprefix(account.config.source_number),
            at=parse_time(pdu.at_time),
            taken_as=lambda message_id: self.reports.sent.update({message_id: ids}),
        )
        if result.verdict in _HELD:
            self.reports.hold(ids)
        code = _RESULTS[result.verdict]
        return Judgement(code, 0 if code else msg_id, account, result)

    def _go_ahead(self, account: AccountState, pdu: Submit, msg_id: int) -> None:
        """Send a segment on its way ahead of the last one, unless its message waits for its time or for a person."""
        at = parse_time(pdu.at_time)
        if not account.manual and (at is None or at.timestamp() <= self.platform.clock()):
            self.reports.expect(account.username, msg_id, map(plain, pdu.dest_terminal_id))

    def _fault(self, account: AccountState, pdu: Submit) -> int | None:
        """Return the Result for what is wrong with the PDU itself, or None."""
        config = account.config
        longest = 159 if pdu.msg_fmt == 0 else 140
        checks = (
            (config.suspended, 3),
            (not pdu.msg_content, 4),
            (not pdu.fee_code.isdecimal() or pdu.fee_type not in {"01", "02", "03", "04", "05"}, 5),
            (len(pdu.msg_content) > longest, 6),
            (pdu.service_id != config.service_id, 7),
            (pdu.msg_src != config.sp_id, 9),
            (not account.balances, 10),
            (any(not is_plain(number) for number in pdu.dest_terminal_id), 11),
            (not pdu.src_id.startswith(config.source_number) or len(pdu.src_id) > LONGEST_SOURCE, 14),
        )
        return next((code for wrong, code in checks if wrong), None)

    def query(self, account: AccountState, sequence_id: int, time: str, query_type: int, query_code: str) -> QueryResp:
        """Return the account's numbers of a day."""
        of_day = [
            message
            for message in self.platform.messages
            if message.username == account.username
            and f"{datetime.fromtimestamp(message.accepted_at, CHINA_TIME):%Y%m%d}" == time
        ]
        waiting = {State.HELD, State.SCHEDULED, State.SENT}
        uplinks = [uplink for uplink in self.platform.uplinks if uplink.username == account.username]
        return QueryResp(
            sequence_id=sequence_id,
            time=time,
            query_type=query_type,
            query_code=query_code,
            mt_tlmsg=len({message.message_id for message in of_day}),
            mt_tlusr=len(of_day),
            mt_scs=sum(message.state is State.DELIVERED for message in of_day),
            mt_wt=sum(message.state in waiting for message in of_day),
            mt_fl=sum(message.state in {State.FAILED, State.REJECTED} for message in of_day),
            mo_scs=sum(uplink.push == "delivered" for uplink in uplinks),
            mo_wt=sum(uplink.push == "waiting" for uplink in uplinks),
        )

    def cancel(self, msg_id: int) -> bool:
        """Take a message back that has not gone out yet; returns whether it did."""
        message_id = next((name for name, ids in self.reports.sent.items() if msg_id in ids), None)
        return message_id is not None and self.platform.cancel(message_id)


def plain(number: str) -> str:
    """Return a number without its 86."""
    return number.removeprefix("+").removeprefix("86") if len(number) > 11 else number


def is_plain(number: str) -> bool:
    """Tell whether it is a mobile number, with or without 86."""
    return re.fullmatch(r"1[3-9]\d{9}", plain(number)) is not None


def parse_time(text: str) -> datetime | None:
    """Return an SMPP 3.3 time; None where there is none, or none that can be read."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    digits, quarters, sign = found.groups()
    offset = timedelta(minutes=15 * int(quarters)) * (1 if sign == "+" else -1)
    try:
        return datetime.strptime(digits, "%y%m%d%H%M%S").replace(tzinfo=timezone(offset))
    except ValueError:
        return None
