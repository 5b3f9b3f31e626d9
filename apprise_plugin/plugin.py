"""The Apprise service `sms1680://`: reads the URL and sends each notification as an SMS."""

import math
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from apprise import NotifyBase, NotifyFormat, OverflowMode
from apprise.manager_plugins import NotificationManager
from apprise.url import PrivacyMode

from .arguments import (
    ARGUMENTS,
    MAX_DEDUPE,
    OPTIONS,
    TEMPLATES,
    TOKENS,
    parse_batch,
    parse_flag,
    parse_number,
    read_options,
    read_text,
    write_options,
)
from .core import (
    DEFAULT_GATEWAY,
    MASK,
    MAX_LENGTH,
    PACKET_SIZE,
    DigestGuard,
    InvalidMessageError,
    InvalidSettingError,
    Outcome,
    PasswordForm,
    Signature,
    SignaturePlace,
    SpendingLimits,
    Timeouts,
    account_key,
    add_words,
    check_extension,
    environment_language,
    find_state,
    gateway_url,
    mask_number,
    say,
    units,
)
from .credentials import make_account
from .dedupe import Dedupe
from .hosts import REPEATING_PERIOD, host_repeats
from .log_messages import (
    failure_message,
    invalid_message,
    invalid_targets,
    success_message,
    text_was_cut,
    unexpected_error,
    with_notes,
)
from .retry import RetryMemory, RetryState, is_retryable
from .sender import NotificationSender
from .targets import split_targets
from .texts import UNCONVERTED, accept_broken_input, plain_text, split_call, without_html
from .time_limit import APPRISE_TIMEOUT, SHARE_OF_TIMEOUT, find_deadline
from .url import UNENCODED, URL, has_unencoded_password, join_url

try:
    from apprise.exception import AppriseImproperlyConfigured as ImproperlyConfigured
except ImportError:  # before Apprise 2
    ImproperlyConfigured = TypeError  # type: ignore[assignment,misc]

# Twice what an outage of 50 checks costs within an hour: 50 messages and 50 more at its end, to three phones.
DEFAULT_LIMITS = SpendingLimits(automatic=None)
_MEMORY_KEY = "sms1680"
_STAMP = " %H:%M:%S"
_STAMP_LENGTH = 9


class NotifySMS1680(NotifyBase):
    """Send SMS through the enterprise platform 1680.

    Args:
        product_id: the account's product id, as text.
        targets: mobile numbers, in any notation.
        gateway: the platform's address.
        extension: digits appended to the sender's number.
        signature: the text of 【…】, without brackets. Several registered names can be given, separated by commas.
        place: the position of the signature: "front", "behind", or "platform" (the platform adds it).
        batch: send several numbers in one request: yes (100), no, or their number up to 1000.
        rate: items per second that the account is allowed.
        dedupe: seconds during which the same text is not sent to the same number again.
        stamp: append the time.
        cap: parts per day that the account may spend on this machine; 0 for no limit.
        critical: overtake other messages, and use the reserve of the spending limits.
        repeat: "unknown" to send a message once more, marked, after an unknown outcome.
        state: the folder for the files that the processes of this machine share, or a server (redis://) for several.
        md5: the password is given as its MD5 digest.
        form: how the password is sent: "md5" or "plain".
        kwargs: the arguments of every Apprise service.

    Raises:
        TypeError: the URL cannot be used. Since Apprise 2, this is AppriseImproperlyConfigured.
    """

    service_name = "SMS 1680"
    service_url = DEFAULT_GATEWAY
    setup_url = "https://github.com/sms1680/sms1680"
    secure_protocol = "sms1680"
    category = "native"

    title_maxlen = 0
    body_maxlen = MAX_LENGTH
    # The core limits the account's rate, also across processes.
    request_rate_per_sec = 0
    # The platform can be slow to respond, and a missed response leaves the outcome unknown.
    socket_read_timeout = 30.0
    default_batch_size = PACKET_SIZE

    templates = TEMPLATES
    template_tokens: ClassVar[dict[str, Any]] = {**NotifyBase.template_tokens, **TOKENS}
    template_args: ClassVar[dict[str, Any]] = {**NotifyBase.template_args, **ARGUMENTS}

    def __init__(  # noqa: PLR0917 - Apprise finds the argument names only among the positional ones
        self,
        product_id: str | None = None,
        targets: object = None,
        gateway: str | None = None,
        extension: str | None = None,
        signature: str | None = None,
        place: SignaturePlace | None = None,
        batch: bool | float | str | None = None,  # noqa: FBT001
        rate: float | str | None = None,
        dedupe: float | str | None = None,
        stamp: bool | str | None = None,  # noqa: FBT001
        cap: float | str | None = None,
        critical: bool | str | None = None,  # noqa: FBT001
        repeat: str | None = None,
        state: str | None = None,
        md5: bool | str | None = None,  # noqa: FBT001
        form: PasswordForm | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.update({name: read_text(kwargs[name]) for name in ("user", "password") if name in kwargs})
        super().__init__(**kwargs)
        # `parse_url` has decoded these already; Apprise decodes them a second time.
        self.user = kwargs.get("user")
        self.password = kwargs.get("password")
        self.product_id = read_text(product_id)
        self.extension = read_text(extension)
        self.place: SignaturePlace = place or "front"
        self.stamp = parse_flag(stamp)
        self.critical = parse_flag(critical)
        self.repeat = (read_text(repeat) or "no").lower()
        self.state = read_text(state)
        self.md5 = parse_flag(md5)
        self.form: PasswordForm = form or "md5"
        self.targets, self._invalid_targets = split_targets((kwargs.get("url_targets"), targets))
        try:
            self.batch = parse_batch(batch)
            self.rate = parse_number("rate", rate) or None
            self.dedupe = math.ceil(parse_number("dedupe", dedupe, maximum=MAX_DEDUPE))
            self.cap = None if cap is None or cap == "" else int(parse_number("cap", cap))
            if self.repeat not in OPTIONS["repeat"]["values"]:
                raise InvalidSettingError("repeat must be no or unknown", "`repeat` 须为 `no` 或 `unknown`")
            self.gateway = gateway_url(read_text(gateway) or DEFAULT_GATEWAY)
            self._account = make_account(
                self.user, self.password, self.product_id, gateway=self.gateway, md5=self.md5, form=self.form
            )
            checked = Signature(read_text(signature) or "-", self.place)  # validates the place even without a signature
            self._signature = checked if read_text(signature) else None
            check_extension(self.extension)
            find_state(self.state)
        except InvalidMessageError as error:
            sentence = error.sentence(environment_language())
            self.logger.error("sms1680: %s", sentence)  # noqa: TRY400 - the sentence says everything
            raise ImproperlyConfigured(sentence) from None
        self.signature = self._signature.setting if self._signature else None
        self._from_html = self.notify_format == NotifyFormat.HTML
        self.notify_format = UNCONVERTED
        signature_length = self._signature.length if self._signature else 0
        self.body_maxlen = MAX_LENGTH - signature_length - (_STAMP_LENGTH if self.stamp else 0)
        self._retry_memory = RetryMemory()
        accept_broken_input()
        if self._invalid_targets:
            self.logger.warning("sms1680: %s", invalid_targets(len(self._invalid_targets)))

    @property
    def url_identifier(self) -> tuple[str | None, ...]:
        """The account's identity, without the targets."""
        return (self.secure_protocol, self.user, self.password, self.product_id, self.gateway)

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:  # noqa: FBT001, FBT002 - Apprise's
        """Return the URL of this service. With `privacy`, secrets are removed and numbers are masked."""
        params = self.url_parameters(privacy, *args, **kwargs)
        params["format"] = "html" if self._from_html else "text"
        params.update(write_options({name: getattr(self, name) for name in OPTIONS}, privacy=privacy))
        password = ""
        if self.password:
            password = self.pprint(self.password, privacy, mode=PrivacyMode.Secret, safe="")
        if privacy:
            targets = [mask_number(number) for number in self.targets] + [MASK] * len(self._invalid_targets)
        else:
            targets = [self.quote(target, safe="") for target in (*self.targets, *self._invalid_targets)]
        user = self.pprint(self.user, privacy, safe="")
        product = self.quote(self.product_id, safe="")
        return join_url(user, password, product, targets, params)

    def __len__(self) -> int:
        """Return the number of requests for one notification."""
        return max(1, math.ceil(len(self.targets) / self._packet_size))

    @property
    def _packet_size(self) -> int:
        return self.default_batch_size if self.batch is True else int(self.batch) or 1

    @staticmethod
    def parse_url(url: object, verify_host: bool = False) -> dict[str, Any] | None:  # noqa: FBT001, FBT002
        """Return the constructor's arguments for a URL, or None if it is not a URL.

        The account and the numbers are read from the URL itself, because Apprise cuts a password at its second `:` or
        `@`. verify_host: ignored, since the URL contains no host.
        """
        if isinstance(url, str) and has_unencoded_password(url):
            NotifySMS1680.logger.error("sms1680: %s", say(*UNENCODED))
            return None
        results = NotifyBase.parse_url(url, verify_host=verify_host)
        found = URL.match(url) if isinstance(url, str) else None
        if not results or not found:
            return None
        userinfo, _at, product_id = found["authority"].rpartition("@")
        user, _colon, password = userinfo.partition(":")
        query: dict[str, str] = results["qsd"]
        results.update(
            user=query.get("user") or unquote(user),
            password=query.get("password") or query.get("pass") or unquote(password),
            host=product_id,
            port=None,
            product_id=unquote(product_id),
            targets=[unquote(target) for target in found["path"].split("/") if target],
            **read_options(query),
        )
        if query.get("to"):
            results["targets"].append(query["to"])
        results["url_targets"] = results["targets"]  # `to:` in a YAML file replaces only `targets`
        return results

    def resolve_format(self, body_format: str | None = None) -> Any:  # noqa: ANN401 - Apprise 2's
        """Leave HTML to `without_html`. Apprise's own conversion would hide which parts are removed or added."""
        if body_format == NotifyFormat.HTML:
            return NotifyFormat.HTML
        return NotifyFormat.TEXT

    def _build_send_calls(self, *args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """Add the start and the time limit to Apprise's arguments of each send, the same for all pieces of a text."""
        started_at, deadline = time.monotonic(), find_deadline()
        splits = (kwargs.get("overflow") or self.overflow_mode) == OverflowMode.SPLIT
        if splits:
            kwargs["overflow"] = OverflowMode.UPSTREAM
        for call in super()._build_send_calls(*args, **without_html(kwargs)):
            pieces = (
                split_call(call, self.body_maxlen, self._signature, from_html=self._from_html) if splits else (call,)
            )
            for piece in pieces:
                yield {**piece, "started_at": started_at, "deadline": deadline}

    def send(self, body: str, title: str = "", **kwargs: Any) -> bool:
        """Send one text to all targets. Return True if the platform accepted every one. Never raises."""
        try:
            call = {**kwargs, "title": title, "body": body}
            return self._send(plain_text(call, from_html=self._from_html), **kwargs)
        except InvalidMessageError as error:
            self.logger.error("sms1680: %s", invalid_message(error))  # noqa: TRY400 - the sentence says everything
        except Exception as error:  # noqa: BLE001 - hosts expect no exception, and its text could quote the message
            self.logger.error("sms1680: %s", unexpected_error(type(error).__name__))  # noqa: TRY400
        return False

    def _send(self, text: str, **kwargs: Any) -> bool:
        state = self._recall(text, kwargs.get("started_at") or time.monotonic(), kwargs.get("deadline"))
        duplicates: set[str] = set()
        dedupe = self._make_dedupe()
        if numbers := state.remaining(self.targets):
            sender = self._make_sender(state.limit)
            if dedupe:
                receipts, duplicates = sender.send_once(dedupe, numbers, text, state.text, state.started_at)
            else:
                receipts = sender.send(numbers, state.text, state.started_at)
            for receipt in receipts:
                state.record(receipt)
        succeeded = self._finish(text, state, duplicates)
        if succeeded and dedupe and not self.dedupe:
            dedupe.forget(self.targets, text)  # the host does not repeat it: the same text is a new notification
        return succeeded

    def _make_sender(self, limit: float | None = None) -> NotificationSender:
        limits, key = self._spending_limits(), account_key(self.gateway, self._account.username)
        return NotificationSender(
            self._account,
            gateway=self.gateway,
            signature=self._signature,
            extension=self.extension,
            rate=self.rate,
            packet_size=self._packet_size,
            timeouts=Timeouts(self.socket_connect_timeout, self.socket_read_timeout),
            verify=self.verify_certificate,
            limit=self._time_limit() if limit is None else limit,
            guard=DigestGuard(key, limits, time.time, *find_state(self.state)) if limits else None,
            critical=self.critical,
            repeats=self.repeat == "unknown",
            sums_up=not host_repeats(),
            state=self.state,
        )

    def _spending_limits(self) -> SpendingLimits | None:
        """Return the limits of the spending guard. A daily cap in the URL replaces the other limits too."""
        if self.cap is None:
            return DEFAULT_LIMITS
        if not self.cap:
            return None
        return SpendingLimits(hour=None, day=self.cap, reserve=max(10, self.cap // 5), number=None, automatic=None)

    def _make_dedupe(self) -> Dedupe | None:
        """Return the memory of the sent messages, if the URL or the host needs one."""
        seconds = self.dedupe or (REPEATING_PERIOD if host_repeats() else 0)
        if not seconds:
            return None
        account = self._account
        signature = f"{self.place} {self.signature}" if self.signature else ""
        context = (self.gateway, account.username, account.product_id, self.extension or "", signature)
        return Dedupe(seconds, account.password.encode(), context, renews=not self.dedupe, state=self.state)

    def _time_limit(self) -> float:
        """Return the time limit in seconds for all attempts at one notification together."""
        limit = getattr(self.asset, "_service_timeout", 0.0) or APPRISE_TIMEOUT
        return float(min(limit, APPRISE_TIMEOUT)) * SHARE_OF_TIMEOUT

    def _finish(self, text: str, state: RetryState, duplicates: set[str]) -> bool:
        """Log the outcomes so far. Return True if the platform accepted all messages."""
        receipts = [state.receipts[number] for number in self.targets]
        unlogged = [receipt for receipt in receipts if receipt.number not in state.logged]
        success = success_message(unlogged, duplicates)
        failure = failure_message(receipts, self._spending_limits(), sums_up=not host_repeats())
        late = state.limit if state.is_late else None
        failure = with_notes(failure, late=late, targets=len(self.targets), invalid=len(self._invalid_targets))
        state.logged.update(receipt.number for receipt in unlogged if receipt.outcome is Outcome.ACCEPTED)
        self._remember(text, state, succeeded=not failure)
        if success:
            note = text_was_cut(self.body_maxlen) if units(text) > self.body_maxlen else ""
            self.logger.info("sms1680: %s%s", success, note)
        if failure:
            self.logger.error("sms1680: %s", failure)
        return not failure

    def _recall(self, text: str, started_at: float, deadline: float | None) -> RetryState:
        """Return the state of the notification that this attempt continues, or a new one."""
        if hasattr(NotifyBase, "recall"):
            state = cast("RetryState | None", self.recall(_MEMORY_KEY))
            if state is None:
                started_at = self.recall(_MEMORY_KEY, started_at, per_message=True)
                state = self._new_state(text, started_at, deadline)
                self.remember(_MEMORY_KEY, started_at, per_message=True)
                self.remember(_MEMORY_KEY, state)
            return state
        state = self._retry_memory.recall(text, getattr(self, "wait", 0.0))
        if state is None:
            state = self._new_state(text, started_at, deadline)
            if hasattr(self, "retry"):
                self._retry_memory.remember(text, state)
        return state

    def _new_state(self, text: str, started_at: float, deadline: float | None) -> RetryState:
        text = add_words(text, room=self.body_maxlen, signature=self._signature)
        if self.stamp:
            now = datetime.now(getattr(self, "tzinfo", None))
            text = add_words(text, after=now.strftime(_STAMP), signature=self._signature)
        limit = self._time_limit()
        if deadline is not None:
            limit = min(limit, max(0.0, deadline - started_at) * SHARE_OF_TIMEOUT)
        return RetryState(started_at, text, limit)

    def _remember(self, text: str, state: RetryState, *, succeeded: bool) -> None:
        if hasattr(NotifyBase, "mark_delivered"):
            for number, receipt in state.receipts.items():
                if not is_retryable(receipt):
                    self.mark_delivered(number)
        else:
            self._retry_memory.finish(text, state, succeeded=succeeded)


def register() -> bool:
    """Register `sms1680://` with Apprise in this process. Return True if Apprise knows it now.

    Further calls change nothing. Code that Apprise itself imports must not call this: it would wait for Apprise's lock.
    """
    manager = NotificationManager()
    # The test with `in` makes Apprise load its own plugins first, including our loader.
    return "sms1680" in manager or bool(manager.add(NotifySMS1680))
