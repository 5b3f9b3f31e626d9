"""The platform's answers over CMPP 2.0 (docs/protocol.md, section 3), based on the same state as HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count

from sms1680.cmpp.wire.auth import connect_request
from sms1680.cmpp.wire.longsms import SegmentAssembler, split_header
from sms1680.cmpp.wire.msgid import MsgId
from sms1680.cmpp.wire.pdus import Connect, Query, QueryResp, Submit
from sms1680.cmpp.wire.texts import read_text_content

from ..accounts import AccountState
from ..formats import CHINA_TIME
from ..platform import LONGEST_SOURCE, Platform
from ..records import State
from ..verdicts import Result, Verdict
from .reports import SegmentReports

# Status values of a CONNECT_RESP; MALFORMED is also a result of a SUBMIT_RESP.
OK, MALFORMED, WRONG_ADDRESS, NOT_AUTHENTIC, VERSION_TOO_HIGH, SUSPENDED = range(6)
# Result values of a SUBMIT_RESP that are not a verdict of the platform.
NOT_LOGGED_IN = 2
TOO_FAST = 8
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
    Verdict.TOO_FAST: TOO_FAST,
    Verdict.PERMISSION: 10,
    Verdict.PRODUCT: 10,
    Verdict.NUMBER: 11,
    Verdict.FORBIDDEN_WORDS: 12,
    Verdict.SIGNATURE: 12,
    Verdict.BALANCE: 13,
    Verdict.LONG_NUMBER: 14,
}


@dataclass(slots=True)
class SubmitDecision:
    """The response to a SUBMIT. `verdict` and `account` are set if the whole message was submitted to the platform."""

    result: int
    msg_id: int = 0
    account: AccountState | None = None
    verdict: Result | None = None


@dataclass(slots=True)
class Rules:
    """Checks logins and SUBMITs, and schedules the reports of the segments."""

    platform: Platform
    reports: SegmentReports
    _serials: count[int] = field(default_factory=count)
    _cancelled: set[int] = field(default_factory=set)
    _assembler: SegmentAssembler[bytes, int] = field(default_factory=lambda: SegmentAssembler(_ASSEMBLY_TIME))

    def login(self, pdu: Connect, address: str, connections: int) -> tuple[int, AccountState | None]:
        """Return the Status for a CONNECT, and the account if the login succeeds.

        `connections`: how many connections the account has already.
        """
        account = self.account(pdu.source_addr)
        if pdu.version > HIGHEST_VERSION:
            return VERSION_TOO_HIGH, None
        if account is None:
            return NOT_AUTHENTIC, None
        if not account.allows_address(address):
            return WRONG_ADDRESS, None
        expected = connect_request(pdu.sequence_id, pdu.source_addr, account.config.password, f"{pdu.timestamp:010d}")
        if expected.authenticator_source != pdu.authenticator_source:
            return NOT_AUTHENTIC, None
        if account.config.suspended or connections >= account.config.cmpp_connections:
            return SUSPENDED, None
        return OK, account

    def account(self, sp_id: str) -> AccountState | None:
        """Return the account with an SP id."""
        return next((state for state in self.platform.accounts.values() if sp_id and state.config.sp_id == sp_id), None)

    def new_id(self) -> int:
        """Return a new Msg_Id with the current time (docs/cmpp.md, section 2)."""
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

    def submit(self, account: AccountState, pdu: Submit) -> SubmitDecision:
        """Decide on a SUBMIT. A segment is accepted, and the whole message is judged with its last segment."""
        fault = self._find_fault(account, pdu)
        if fault is not None:
            return SubmitDecision(fault)
        msg_id = self.new_id()
        now = self.platform.clock()
        segment, body = split_header(pdu.msg_content) if pdu.tp_udhi & 1 else (None, pdu.msg_content)
        ids: tuple[int, ...] = (msg_id,)
        if segment is not None and segment.total > 1:
            key = (account.username, pdu.src_id, pdu.dest_terminal_id, pdu.msg_fmt)
            whole = [one for one in self._assembler.add(key, segment, body, msg_id, now) if not one.incomplete]
            if not whole:
                self._schedule_early_report(account, pdu, msg_id)
                return SubmitDecision(OK, msg_id)
            body = b"".join(whole[0].parts.values())
            ids = tuple(whole[0].tokens)
        result = self._submit_message(account, pdu, body, ids)
        code = _RESULTS[result.verdict]
        return SubmitDecision(code, 0 if code else msg_id, account, result)

    def _submit_message(self, account: AccountState, pdu: Submit, body: bytes, ids: tuple[int, ...]) -> Result:
        """Submit a whole message to the platform. `ids`: the Msg_Ids of its segments."""
        text = read_text_content(body, pdu.msg_fmt)
        result = self.platform.submit(
            account,
            next(iter(account.balances), ""),
            [(plain(number), text) for number in pdu.dest_terminal_id],
            extension=pdu.src_id.removeprefix(account.config.source_number),
            at=parse_time(pdu.at_time),
            on_message_id=lambda message_id: self.reports.sent.update({message_id: ids}),
        )
        if result.verdict in _HELD:
            self.reports.hold(ids)
        return result

    def answered(self, decision: SubmitDecision) -> None:
        """Tell the platform that a SUBMIT's response is sent now, so that its flow rule starts."""
        if decision.account is not None and decision.verdict is not None:
            self.platform.answered(decision.account, decision.verdict)

    def _schedule_early_report(self, account: AccountState, pdu: Submit, msg_id: int) -> None:
        """Report a segment before the last one arrives, unless its message is scheduled or held."""
        at = parse_time(pdu.at_time)
        if not account.manual and (at is None or at.timestamp() <= self.platform.clock()):
            self.reports.schedule(account.username, msg_id, map(plain, pdu.dest_terminal_id))

    def _find_fault(self, account: AccountState, pdu: Submit) -> int | None:
        """Return the Result for an error in the PDU itself, or None."""
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

    def query(self, account: AccountState, pdu: Query) -> QueryResp:
        """Return the account's totals of one day."""
        of_day = [
            message
            for message in self.platform.messages
            if message.username == account.username
            and f"{datetime.fromtimestamp(message.accepted_at, CHINA_TIME):%Y%m%d}" == pdu.time
        ]
        waiting = {State.HELD, State.SCHEDULED, State.SENT}
        uplinks = [uplink for uplink in self.platform.uplinks if uplink.username == account.username]
        return QueryResp(
            sequence_id=pdu.sequence_id,
            time=pdu.time,
            query_type=pdu.query_type,
            query_code=pdu.query_code,
            mt_tlmsg=len({message.message_id for message in of_day}),
            mt_tlusr=len(of_day),
            mt_scs=sum(message.state is State.DELIVERED for message in of_day),
            mt_wt=sum(message.state in waiting for message in of_day),
            mt_fl=sum(message.state in {State.FAILED, State.REJECTED} for message in of_day),
            mo_scs=sum(uplink.push == "delivered" for uplink in uplinks),
            mo_wt=sum(uplink.push == "waiting" for uplink in uplinks),
        )

    def cancel(self, account: AccountState, msg_id: int) -> bool:
        """Cancel a segment of the account's message that has not been sent yet. Return True if it was cancelled.

        The first segment cancels the message on the phone. Each cancelled segment has a report with DELETED.
        """
        message_id = next((name for name, ids in self.reports.sent.items() if msg_id in ids), None)
        if message_id is None or msg_id in self._cancelled:
            return False
        messages = [message for message in self.platform.messages if message.message_id == message_id]
        if messages[0].username != account.username:
            return False
        if not self._cancelled.intersection(self.reports.sent[message_id]) and not self.platform.cancel(message_id):
            return False
        self._cancelled.add(msg_id)
        self.reports.report_cancelled(messages[0].username, msg_id, [message.number for message in messages])
        return True


def plain(number: str) -> str:
    """Return a number without the country code 86."""
    return number.removeprefix("+").removeprefix("86") if len(number) > 11 else number


def is_plain(number: str) -> bool:
    """Return True for a mobile number, with or without the country code 86."""
    return re.fullmatch(r"1[3-9]\d{9}", plain(number)) is not None


def parse_time(text: str) -> datetime | None:
    """Return an SMPP 3.3 time, or None if it is empty or malformed."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    digits, quarters, sign = found.groups()
    offset = timedelta(minutes=15 * int(quarters)) * (1 if sign == "+" else -1)
    try:
        return datetime.strptime(digits, "%y%m%d%H%M%S").replace(tzinfo=timezone(offset))
    except ValueError:
        return None
