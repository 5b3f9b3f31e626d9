"""The 1680 platform's rules and memory, free of sockets, clocks and protocols.

HTTP (and, on the same state, any other way in) asks `authenticate`, `submit` and `balance`, and turns the named
verdicts into its own numbers. Time is handed in as a function; what is due happens in `run_due`. Listeners hear of
every change.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count

from .accounts import AccountState
from .config import Config
from .faults import Faults
from .groups import CHINA_TIME, is_number
from .pushqueue import PushQueue
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
from .story import Story
from .verdicts import Result, Verdict
from .words import flow_items, found, parts, signature

Clock = Callable[[], float]
LONGEST_SOURCE = 21


@dataclass(frozen=True, slots=True)
class _Submission:
    """What was let in to be judged: pairs of a good number and the text as it would go out, due at a time."""

    account: AccountState
    product: str
    pairs: list[tuple[str, str]]
    extension: str
    due_at: float
    taken_as: Callable[[str], object] | None = None


class Platform:
    """A platform with its accounts and phones.

    `messages` is the exact ledger of what was taken on, whatever the caller was answered.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        """Begin as configured; `clock` gives seconds since 1970 and never goes back."""
        self.config = config
        self.clock = clock
        self.faults = Faults()
        self.story = Story()
        self.pushes = PushQueue(config.pushes, clock)
        self.listeners: list[Callable[[Event], None]] = []
        self.epoch = 1
        self._serials = count(1)
        self._ids = count(1)
        self._ties = count()
        self._begin()

    def _begin(self) -> None:
        self.accounts = {account.username: AccountState.begin(account) for account in self.config.accounts}
        self.phones: dict[str, Phone] = {}
        self.messages: list[Message] = []
        self.forbidden_words = list(self.config.forbidden_words)
        self.review_words = list(self.config.review_words)
        self.verdicts: Counter[Verdict] = Counter()
        self._recent: dict[tuple[str, str], deque[float]] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def reset(self) -> None:
        """Forget all that happened and begin again as configured; the push addresses stay."""
        addresses = {name: (state.report_address, state.uplink_address) for name, state in self.accounts.items()}
        self._begin()
        for name, (report_address, uplink_address) in addresses.items():
            self.accounts[name].report_address = report_address
            self.accounts[name].uplink_address = uplink_address
        self.faults.clear()
        self.pushes.clear()
        self.epoch += 1
        self._tell(Changed())

    # --- the way in -------------------------------------------------------------------------------------------------

    def authenticate(
        self, username: str, password: str, address: str, *, for_balance: bool = False
    ) -> AccountState | Verdict:
        """Find the account of a caller at an IP address, or say why not (authentication, IP).

        The password may come plain or as MD5; for the balance an account can be set to take it plain only.
        """
        account = self.accounts.get(username)
        if account is None or not account.knows(password, md5=not for_balance or account.config.balance_takes_md5):
            return Verdict.AUTHENTICATION
        if not account.admits(address):
            return Verdict.IP
        return account

    def balance(self, account: AccountState, product: str) -> int | Verdict:
        """Return the parts left of a product, or why they are not told (permission, product)."""
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
        taken_as: Callable[[str], object] | None = None,
    ) -> Result:
        """Judge a submission of (number, text) pairs and, when it is good, take it on.

        `extension` is appended to the account's number; `at` (aware) is when to send, None or past for now. Numbers
        that are none are left out in silence; none left is a verdict. When the result was `admitted`, the caller must
        call `answered` at the moment its answer goes out. `taken_as` hears the message id before anything is sent.
        """
        now = self.clock()
        refusal = self._refusal(account, product, pairs, extension)
        if refusal is not None:
            return self._count(Result(refusal))
        if not account.pace.enter(now):
            return self._count(Result(Verdict.TOO_FAST))
        own = f"【{account.config.own_signature}】" if account.config.own_signature else ""
        good = [(number, own + text) for number, text in pairs if is_number(number)]
        due_at = at.timestamp() if at else now
        return self._count(self._judge(_Submission(account, product, good, extension, due_at, taken_as)))

    def answered(self, account: AccountState, result: Result) -> None:
        """Note that the answer to an admitted submission goes out now: from here on the flow rule counts (4.3)."""
        if result.admitted:
            account.pace.leave(self.clock(), result.flow_items if result.verdict.taken else 0)

    def _refusal(
        self, account: AccountState, product: str, pairs: Sequence[tuple[str, str]], extension: str
    ) -> Verdict | None:
        """Return the first fault that is seen without reading the texts' words, or None."""
        if not account.config.may_submit:
            return Verdict.PERMISSION
        if account.config.suspended:
            return Verdict.USER
        if product not in account.balances:
            return Verdict.PRODUCT
        if extension and not (extension.isascii() and extension.isdecimal()):
            return Verdict.PARAMETER
        if len(account.config.source_number) + len(extension) > LONGEST_SOURCE:
            return Verdict.LONG_NUMBER
        if len(pairs) > account.config.numbers_max:
            return Verdict.TOO_MANY
        if not any(is_number(number) for number, _ in pairs):
            return Verdict.NUMBER
        if any(not text.strip() for _, text in pairs):
            return Verdict.EMPTY
        return None

    def _judge(self, submission: _Submission) -> Result:
        """Judge signature, words and balance of what entered the pace, and take it on when they are good."""
        account, product = submission.account, submission.product
        texts = dict.fromkeys(text for _, text in submission.pairs)
        if account.signature_required and any(signature(text) is None for text in texts):
            return Result(Verdict.SIGNATURE, admitted=True)
        words = tuple(dict.fromkeys(word for text in texts for word in found(text, self.forbidden_words)))
        if words:
            return Result(Verdict.FORBIDDEN_WORDS, words=words, admitted=True)
        costs = {text: parts(text) for text in texts}
        cost = sum(costs[text] for _, text in submission.pairs)
        if cost > account.balances[product]:
            return Result(Verdict.BALANCE, admitted=True)
        verdict = Verdict.ACCEPTED
        if account.manual:
            verdict = Verdict.MANUAL
        elif any(found(text, self.review_words) for text in texts):
            verdict = Verdict.REVIEW
        account.balances[product] -= cost
        message_id = self._take_on(submission, verdict)
        flow = {text: flow_items(text) for text in texts}
        flow_sum = sum(flow[text] for _, text in submission.pairs)
        return Result(verdict, message_id, flow_items=flow_sum, admitted=True)

    def _take_on(self, submission: _Submission, verdict: Verdict) -> str:
        """Write the messages down, send them, let them wait for their time, or hold them; return their id."""
        now = self.clock()
        message_id = self._message_id(now)
        if submission.taken_as is not None:
            submission.taken_as(message_id)
        held = verdict is not Verdict.ACCEPTED
        taken = [
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
        self.messages.extend(taken)
        if held:
            self._changed(taken)
        else:
            self._send_or_wait(taken)
        return message_id

    def _message_id(self, now: float) -> str:
        """Return an id of 18 digits that begins like the time in China, as those of the platform are known to."""
        return f"{datetime.fromtimestamp(now, CHINA_TIME):%y%m%d%H%M%S}{next(self._ids) % 1_000_000:06d}"

    def _count(self, result: Result) -> Result:
        self.verdicts[result.verdict] += 1
        if not result.verdict.taken:
            self._tell(Changed())
        return result

    # --- what happens by itself -------------------------------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """When `run_due` has something to do next, or None."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        """Let all happen that is due by now: scheduled messages go out, delivery reports come in."""
        now = self.clock()
        while self._due and self._due[0][0] <= now:
            _, _, action = heapq.heappop(self._due)
            action()

    def later(self, at: float, action: Callable[[], None]) -> None:
        """Let something happen at a time; a `reset` forgets it."""
        heapq.heappush(self._due, (at, next(self._ties), action))

    def _send_or_wait(self, messages: list[Message]) -> None:
        due_at = messages[0].due_at
        if due_at > self.clock():
            self._changed(messages)
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
            if self._too_often(message, now):
                message.status = TOO_OFTEN
            elif phone.report_status != DELIVERED:
                message.status = phone.report_status
            phone.items.append(message)
        self._changed(messages)
        self.later(now + self.config.report_delay, partial(self._settle, messages))

    def _too_often(self, message: Message, now: float) -> bool:
        """Note that a text goes to a number, and tell whether it did so too often of late."""
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
            self._tell(ReportReady(message.username, message.message_id, message.number, status))
        self._changed(messages)

    # --- what a person does -----------------------------------------------------------------------------------------

    def phone(self, number: str) -> Phone:
        """Return the phone of a number; there is one for every number."""
        phone = self.phones.get(number)
        if phone is None:
            phone = self.phones[number] = Phone(number)
        return phone

    def reply(self, number: str, text: str, *, extension: str | None = None, username: str | None = None) -> Uplink:
        """Send an SMS from a phone to an account.

        Without `extension` and `username` it answers the last message that arrived at the phone.

        Raises:
            ValueError: no account to answer, an unknown one, or an extension that is not digits.
        """
        last = next(reversed(self.phone(number).messages), None)
        if username is None:
            username = last.username if last else next(iter(self.accounts), None)
        if username is None or username not in self.accounts:
            raise ValueError("there is no such account to answer")
        if extension is None:
            extension = last.extension if last and last.username == username else ""
        if extension and not (extension.isascii() and extension.isdecimal()):
            raise ValueError("an extension is made of digits")
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
        self._tell(UplinkReady(uplink))
        self._tell(Changed(uplink))
        return uplink

    def decide(self, message_id: str, *, approve: bool) -> list[Message]:
        """Let a held submission go out, or reject it: it then fails with KX:1000 and its parts are given back.

        Raises:
            KeyError: nothing of that id is held.
        """
        held = [message for message in self.held if message.message_id == message_id]
        if not held:
            raise KeyError(message_id)
        if approve:
            for message in held:
                message.state = State.SCHEDULED
            self._send_or_wait(held)
            return held
        for message in held:
            message.state = State.REJECTED
            message.status = SUBMIT_FAILED
            message.settled_at = self.clock()
            self.accounts[message.username].balances[message.product] += message.parts
            self._tell(ReportReady(message.username, message.message_id, message.number, SUBMIT_FAILED))
        self._changed(held)
        return held

    def cancel(self, message_id: str) -> bool:
        """Take back what waits for its time; its parts are given back. Returns whether anything did."""
        waiting = [
            message
            for message in self.messages
            if message.message_id == message_id and message.state is State.SCHEDULED
        ]
        for message in waiting:
            message.state = State.REJECTED
            message.settled_at = self.clock()
            self.accounts[message.username].balances[message.product] += message.parts
        self._changed(waiting)
        return bool(waiting)

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def held(self) -> list[Message]:
        """The messages that wait for a person."""
        return [message for message in self.messages if message.state is State.HELD]

    @property
    def ledger(self) -> Counter[tuple[str, str]]:
        """How many times each (number, text) was taken on, held ones included, whatever was answered."""
        return Counter((message.number, message.text) for message in self.messages)

    @property
    def uplinks(self) -> list[Uplink]:
        """Every reply that a phone sent, in order."""
        uplinks = [uplink for phone in self.phones.values() for uplink in phone.uplinks]
        return sorted(uplinks, key=lambda uplink: uplink.serial)

    def counts(self) -> dict[str, int]:
        """Return how many messages are in each state, and how many submissions met each verdict."""
        states = Counter(message.state.value for message in self.messages)
        return {"messages": len(self.messages), **states, **{f"verdict_{v.value}": n for v, n in self.verdicts.items()}}

    def changed(self, item: Message | Uplink | None = None) -> None:
        """Tell the listeners that a message or uplink changed, or (None) an account, a switch or a counter."""
        self._tell(Changed(item))

    def _changed(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._tell(Changed(message))

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
