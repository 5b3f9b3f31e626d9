"""The 1680 platform's rules and state, independent of sockets, clocks and protocols.

The HTTP and CMPP sides call `authenticate`, `submit` and `balance`, and translate the verdicts into their own codes.
The clock is a function passed in; scheduled work happens in `run_due`. Listeners are notified of every change.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import count

from .accounts import AccountState
from .config import Config
from .faults import Faults
from .formats import CHINA_TIME, is_number
from .push_queue import PushQueue
from .records import (
    DELIVERED,
    SUBMIT_FAILED,
    TOO_OFTEN,
    Changed,
    Event,
    Message,
    Phone,
    ReportReady,
    State,
    Uplink,
    UplinkReady,
)
from .schedule import Schedule
from .story import Story
from .submission import LONGEST_SOURCE, Submission, assess_texts, check_request
from .verdicts import Result, Verdict

__all__ = ["LONGEST_SOURCE", "Clock", "Platform"]

Clock = Callable[[], float]


class Platform:
    """A platform with its accounts and phones.

    `messages` lists exactly the messages that the platform accepted or holds, whatever the caller was answered.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        """Start as configured. `clock` returns seconds since 1970 and never goes back."""
        self.config = config
        self.clock = clock
        self.faults = Faults()
        self.story = Story()
        self.pushes = PushQueue(config.pushes, clock)
        self.listeners: list[Callable[[Event], None]] = []
        self.epoch = 1
        self._serials = count(1)
        self._ids = count(1)
        self._schedule = Schedule()
        self._start()

    def _start(self) -> None:
        self.accounts = {account.username: AccountState.from_config(account) for account in self.config.accounts}
        self.phones: dict[str, Phone] = {}
        self.messages: list[Message] = []
        self.forbidden_words = list(self.config.forbidden_words)
        self.review_words = list(self.config.review_words)
        self.verdicts: Counter[Verdict] = Counter()
        self._recent: dict[tuple[str, str], deque[float]] = {}
        self._schedule.clear()

    def reset(self) -> None:
        """Return to the configured state. Only the push addresses remain."""
        addresses = {name: (state.report_address, state.uplink_address) for name, state in self.accounts.items()}
        self._start()
        for name, (report_address, uplink_address) in addresses.items():
            self.accounts[name].report_address = report_address
            self.accounts[name].uplink_address = uplink_address
        self.faults.clear()
        self.pushes.clear()
        self.epoch += 1
        self._notify(Changed())

    # --- calls ------------------------------------------------------------------------------------------------------

    def authenticate(
        self, username: str, password: str, address: str, *, for_balance: bool = False
    ) -> AccountState | Verdict:
        """Return the account of a caller at an IP address, or a verdict (AUTHENTICATION, IP).

        The password is plain or an MD5. An account can be configured to require the plain one, for the balance or for
        messages.
        """
        account = self.accounts.get(username)
        if account is None:
            return Verdict.AUTHENTICATION
        takes_md5 = account.config.balance_takes_md5 if for_balance else account.config.sending_takes_md5
        if not account.check_password(password, allow_md5=takes_md5):
            return Verdict.AUTHENTICATION
        if not account.allows_address(address):
            return Verdict.IP
        return account

    def balance(self, account: AccountState, product: str) -> int | Verdict:
        """Return the remaining parts of a product, or a verdict (PERMISSION, PRODUCT)."""
        if not account.config.may_query_balance:
            return Verdict.PERMISSION
        if product not in account.balances:
            return Verdict.PRODUCT
        return account.balances[product]

    def submit(
        self,
        account: AccountState,
        product: str,
        pairs: Sequence[tuple[str, str]],
        *,
        extension: str = "",
        at: datetime | None = None,
        on_message_id: Callable[[str], object] | None = None,
    ) -> Result:
        """Check a submission of (number, text) pairs, and accept or hold it if it is valid.

        `extension` is appended to the account's number. `at` (aware) is the time to send; None or a past time means
        now. Invalid numbers are silently dropped; the verdict is NUMBER if none is left. If the result is `admitted`,
        the caller must call `answered` when it sends its answer. `on_message_id` receives the message id before
        anything is sent.
        """
        now = self.clock()
        refusal = check_request(account, product, pairs, extension)
        if refusal is not None:
            return self._count(Result(refusal))
        if not account.flow.admit(now):
            return self._count(Result(Verdict.TOO_FAST))
        prefix = f"【{account.config.own_signature}】" if account.config.own_signature else ""
        valid = [(number, prefix + text) for number, text in pairs if is_number(number)]
        due_at = at.timestamp() if at else now
        submission = Submission(account, product, valid, extension, due_at, on_message_id)
        return self._count(self._process(submission))

    def answered(self, account: AccountState, result: Result) -> None:
        """Record that the answer to an admitted submission is sent now.

        The flow rule counts from this moment (docs/protocol.md, section 4).
        """
        if result.admitted:
            account.flow.finish(self.clock(), result.flow_items if result.verdict.is_positive else 0)

    def _process(self, submission: Submission) -> Result:
        """Check the texts of an admitted submission, and accept or hold it if they are valid."""
        assessment = assess_texts(submission, self.forbidden_words, self.review_words)
        if not assessment.verdict.is_positive:
            return Result(assessment.verdict, words=assessment.words, admitted=True)
        submission.account.balances[submission.product] -= assessment.cost
        message_id = self._store(submission, assessment.verdict)
        return Result(assessment.verdict, message_id, flow_items=assessment.flow_items, admitted=True)

    def _store(self, submission: Submission, verdict: Verdict) -> str:
        """Store the messages, then send, schedule or hold them. Return their id."""
        now = self.clock()
        message_id = self._message_id(now)
        if submission.on_message_id is not None:
            submission.on_message_id(message_id)
        held = verdict is not Verdict.ACCEPTED
        messages = [
            Message(
                serial=next(self._serials),
                message_id=message_id,
                username=submission.account.username,
                product=submission.product,
                number=number,
                text=text,
                extension=submission.extension,
                source=submission.account.config.source_number,
                accepted_at=now,
                due_at=submission.due_at,
                state=State.HELD if held else State.SCHEDULED,
                held_for=verdict.value if held else None,
            )
            for number, text in submission.pairs
        ]
        self.messages.extend(messages)
        if held:
            self._notify_changed(messages)
        else:
            self._send_or_schedule(messages)
        return message_id

    def _message_id(self, now: float) -> str:
        """Return an id of 18 digits that starts with the time in China, like the ids of the real platform."""
        return f"{datetime.fromtimestamp(now, CHINA_TIME):%y%m%d%H%M%S}{next(self._ids) % 1_000_000:06d}"

    def _count(self, result: Result) -> Result:
        self.verdicts[result.verdict] += 1
        if not result.verdict.is_positive:
            self._notify(Changed())
        return result

    # --- scheduled work ---------------------------------------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """The next time at which `run_due` has work to do, or None."""
        return self._schedule.next_due

    def run_due(self) -> None:
        """Do all work that is due: send scheduled messages, create delivery reports."""
        self._schedule.run_due(self.clock())

    def later(self, at: float, action: Callable[[], None]) -> None:
        """Run an action at a time, unless a `reset` comes first."""
        self._schedule.add(at, action)

    def _send_or_schedule(self, messages: list[Message]) -> None:
        due_at = messages[0].due_at
        if due_at > self.clock():
            self._notify_changed(messages)
            self.later(due_at, partial(self._send, messages))
        else:
            self._send(messages)

    def _send(self, messages: list[Message]) -> None:
        now = self.clock()
        messages = [message for message in messages if message.state is State.SCHEDULED]
        for message in messages:
            phone = self.phone(message.number)
            message.state = State.SENT
            message.sent_at = now
            if self._is_too_often(message, now):
                message.status = TOO_OFTEN
            elif phone.report_status != DELIVERED:
                message.status = phone.report_status
            phone.items.append(message)
        self._notify_changed(messages)
        self.later(now + self.config.report_delay, partial(self._settle, messages))

    def _is_too_often(self, message: Message, now: float) -> bool:
        """Count this text to this number. Return True if it exceeds the limit within the configured window."""
        times = self._recent.setdefault((message.number, message.text), deque())
        while times and times[0] <= now - self.config.repeat_window:
            times.popleft()
        times.append(now)
        return len(times) > self.config.repeat_limit

    def _settle(self, messages: list[Message]) -> None:
        now = self.clock()
        for message in messages:
            status = message.status or self.phone(message.number).report_status
            if status is None:
                continue
            message.status = status
            message.state = State.DELIVERED if status == DELIVERED else State.FAILED
            message.settled_at = now
            self._notify(ReportReady(message.username, message.message_id, message.number, status))
        self._notify_changed(messages)

    # --- actions of a person ----------------------------------------------------------------------------------------

    def phone(self, number: str) -> Phone:
        """Return the phone with a number. Every number has one."""
        phone = self.phones.get(number)
        if phone is None:
            phone = self.phones[number] = Phone(number)
        return phone

    def reply(self, number: str, text: str, *, extension: str | None = None, username: str | None = None) -> Uplink:
        """Send an SMS from a phone to an account.

        Without `extension` and `username`, it answers the last message that arrived at the phone.

        Raises:
            ValueError: no account can be answered, the account is unknown, or the extension is not numeric.
        """
        last = next(reversed(self.phone(number).messages), None)
        if username is None:
            username = last.username if last else next(iter(self.accounts), None)
        if username is None or username not in self.accounts:
            raise ValueError("there is no account to answer with that name")
        if extension is None:
            extension = last.extension if last and last.username == username else ""
        if extension and not (extension.isascii() and extension.isdecimal()):
            raise ValueError("an extension consists of digits")
        now = self.clock()
        uplink = Uplink(
            serial=next(self._serials),
            message_id=self._message_id(now),
            username=username,
            number=number,
            text=text,
            extension=extension,
            source=self.accounts[username].config.source_number,
            at=now,
        )
        self.phone(number).items.append(uplink)
        self._notify(UplinkReady(uplink))
        self._notify(Changed(uplink))
        return uplink

    def decide(self, message_id: str, *, approve: bool) -> list[Message]:
        """Send a held submission, or reject it: it then fails with KX:1000 and its parts are refunded.

        Raises:
            KeyError: no held message has this id.
        """
        held = [message for message in self.held if message.message_id == message_id]
        if not held:
            raise KeyError(message_id)
        if approve:
            for message in held:
                message.state = State.SCHEDULED
            self._send_or_schedule(held)
            return held
        self._reject(held)
        for message in held:
            message.status = SUBMIT_FAILED
            self._notify(ReportReady(message.username, message.message_id, message.number, SUBMIT_FAILED))
        self._notify_changed(held)
        return held

    def cancel(self, message_id: str) -> bool:
        """Cancel a scheduled submission and refund its parts. Return True if there was one."""
        scheduled = [
            message
            for message in self.messages
            if message.message_id == message_id and message.state is State.SCHEDULED
        ]
        self._reject(scheduled)
        self._notify_changed(scheduled)
        return bool(scheduled)

    def _reject(self, messages: Iterable[Message]) -> None:
        for message in messages:
            message.state = State.REJECTED
            message.settled_at = self.clock()
            self.accounts[message.username].balances[message.product] += message.parts

    # --- state ------------------------------------------------------------------------------------------------------

    @property
    def held(self) -> list[Message]:
        """The messages held for review."""
        return [message for message in self.messages if message.state is State.HELD]

    @property
    def ledger(self) -> Counter[tuple[str, str]]:
        """How many times each (number, text) was accepted or held, whatever the caller was answered."""
        return Counter((message.number, message.text) for message in self.messages)

    @property
    def uplinks(self) -> list[Uplink]:
        """Every reply sent from a phone, in order."""
        uplinks = [uplink for phone in self.phones.values() for uplink in phone.uplinks]
        return sorted(uplinks, key=lambda uplink: uplink.serial)

    def counts(self) -> dict[str, int]:
        """Return the number of messages in each state, and the number of submissions with each verdict."""
        states = Counter(message.state.value for message in self.messages)
        return {"messages": len(self.messages), **states, **{f"verdict_{v.value}": n for v, n in self.verdicts.items()}}

    def changed(self, item: Message | Uplink | None = None) -> None:
        """Notify the listeners of a changed message or uplink, or (None) of a changed account, switch or counter."""
        self._notify(Changed(item))

    def _notify_changed(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._notify(Changed(message))

    def _notify(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
