"""The Apprise service `sms1680://`: reads the URL and sends each notification as an SMS."""

import math
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from apprise import NotifyBase, NotifyFormat
from apprise.conversion import convert_between
from apprise.manager_plugins import NotificationManager
from apprise.url import PrivacyMode

from .arguments import ARGUMENTS, MAX_DEDUPE, OPTIONS, TEMPLATES, TOKENS, read_options, write_options
from .core import (
    DEFAULT_GATEWAY,
    MASK,
    MAX_LENGTH,
    PACKET_SIZE,
    InvalidMessageError,
    InvalidSettingError,
    PasswordForm,
    Signature,
    SignaturePlace,
    SpendingLimits,
    Timeouts,
    add_words,
    check_extension,
    cut,
    gateway_url,
    mask_number,
    units,
)
from .credentials import make_account
from .dedupe import Dedupe
from .log_messages import failure_message, success_message
from .retry import RetryMemory, RetryState, is_retryable
from .sender import NotificationSender
from .targets import split_targets

try:
    from apprise.exception import AppriseImproperlyConfigured as ImproperlyConfigured
except ImportError:  # before Apprise 2
    ImproperlyConfigured = TypeError  # type: ignore[assignment,misc]
try:
    from apprise.utils.parse import parse_bool
except ImportError:  # Apprise 1.9.0
    from apprise.utils import parse_bool  # type: ignore[attr-defined,no-redef]

# Apprise 2 stops waiting for a service after 60 seconds, but the thread of the service runs on. All attempts together
# must end earlier.
APPRISE_TIMEOUT = 60.0
SHARE_OF_TIMEOUT = 0.9
_MEMORY_KEY = "sms1680"
_STAMP = " %H:%M:%S"
_STAMP_LENGTH = 9
_URL = re.compile(r"\s*[^:/\s]+:[/\\]+(?P<authority>[^/?\\]*)(?P<path>[^?]*)")


class NotifySMS1680(NotifyBase):
    """Send SMS through the enterprise platform 1680.

    Args:
        product_id: the account's product id, as text.
        targets: mobile numbers, in any notation.
        gateway: the platform's address.
        extension: digits appended to the sender's number.
        signature: the text of 【…】, without brackets.
        place: the position of the signature: "front", "behind", or "platform" for one that the platform adds itself.
        batch: send many numbers in one request.
        rate: items per second that the account is allowed.
        dedupe: seconds during which the same text is not sent to the same number again.
        stamp: append the time.
        cap: parts per day that the account may spend on this machine; 0 for no limit.
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
        batch: bool | str | None = None,  # noqa: FBT001
        rate: float | str | None = None,
        dedupe: float | str | None = None,
        stamp: bool | str | None = None,  # noqa: FBT001
        cap: float | str | None = None,
        md5: bool | str | None = None,  # noqa: FBT001
        form: PasswordForm | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # `parse_url` has decoded these already; Apprise decodes them a second time.
        self.user = kwargs.get("user")
        self.password = kwargs.get("password")
        self.product_id = product_id
        self.extension = extension or None
        self.place: SignaturePlace = place or "front"
        self.batch = True if batch is None else parse_bool(batch, default=True)
        self.stamp = parse_bool(stamp)
        self.md5 = parse_bool(md5)
        self.form: PasswordForm = form or "md5"
        self.targets, self._invalid_targets = split_targets(targets)
        try:
            self.rate = _parse_number("rate", rate) or None
            self.dedupe = math.ceil(_parse_number("dedupe", dedupe, maximum=MAX_DEDUPE))
            self.cap = None if cap is None or cap == "" else int(_parse_number("cap", cap))
            self.gateway = gateway_url(gateway or DEFAULT_GATEWAY)
            self._account = make_account(
                self.user, self.password, product_id, gateway=self.gateway, md5=self.md5, form=self.form
            )
            checked = Signature(signature or "-", self.place)  # validates the place even without a signature
            self._signature = checked if signature else None
            check_extension(self.extension)
        except InvalidMessageError as error:
            self.logger.error("sms1680: %s", error)  # noqa: TRY400 - the sentence says everything
            raise ImproperlyConfigured(str(error)) from None
        self.signature = self._signature.name if self._signature else None
        self._from_html = self.notify_format == NotifyFormat.HTML
        # Apprise converts HTML to plain text for services that declare the format TEXT.
        self.notify_format = NotifyFormat.TEXT
        signature_length = units(self.signature) + 2 if self.signature else 0
        self.body_maxlen = MAX_LENGTH - signature_length - (_STAMP_LENGTH if self.stamp else 0)
        self._retry_memory = RetryMemory()
        if self._invalid_targets:
            self.logger.warning("sms1680: targets that are not mobile numbers: %d", len(self._invalid_targets))

    @property
    def url_identifier(self) -> tuple[str | None, ...]:
        """The account's identity, without the targets."""
        return (self.secure_protocol, self.user, self.password, self.product_id, self.gateway)

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:  # noqa: FBT001, FBT002 - Apprise's
        """Return the URL of this service. With `privacy`, secrets are removed and numbers are masked."""
        params = self.url_parameters(privacy, *args, **kwargs)
        if self._from_html:
            params["format"] = "html"
        params.update(write_options({name: getattr(self, name) for name in OPTIONS}))
        password = ""
        if self.password:
            password = ":" + self.pprint(self.password, privacy, mode=PrivacyMode.Secret, safe="")
        if privacy:
            targets = [mask_number(number) for number in self.targets] + [MASK] * len(self._invalid_targets)
        else:
            targets = [self.quote(target, safe="") for target in (*self.targets, *self._invalid_targets)]
        user = self.pprint(self.user, privacy, safe="")
        product = self.quote(self.product_id, safe="")
        return f"{self.secure_protocol}://{user}{password}@{product}/{'/'.join(targets)}/?{self.urlencode(params)}"

    def __len__(self) -> int:
        """Return the number of requests for one notification."""
        size = self.default_batch_size if self.batch else 1
        return max(1, math.ceil(len(self.targets) / size))

    @staticmethod
    def parse_url(url: object, verify_host: bool = False) -> dict[str, Any] | None:  # noqa: FBT001, FBT002
        """Return the constructor's arguments for a URL, or None if it is not a URL.

        The account and the numbers are read from the URL itself, because Apprise cuts a password at its second `:` or
        `@`. verify_host: ignored, since the URL contains no host.
        """
        results = NotifyBase.parse_url(url, verify_host=verify_host)
        found = _URL.match(url) if isinstance(url, str) else None
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
        return results

    def _build_send_calls(self, *args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """Add the start time to Apprise's arguments of each send, so that all pieces of a text share one time limit."""
        started_at = time.monotonic()
        for call in super()._build_send_calls(*args, **kwargs):
            yield {**call, "started_at": started_at}

    def send(self, body: str, title: str = "", **kwargs: Any) -> bool:
        """Send one text to all targets. Return True if the platform accepted or holds every one. Never raises."""
        try:
            return self._send("\n".join(part for part in (title, body) if part), **kwargs)
        except InvalidMessageError as error:
            self.logger.error("sms1680: nothing was sent: %s", error)  # noqa: TRY400 - the sentence says everything
        except Exception as error:  # noqa: BLE001 - hosts expect no exception, and its text could quote the message
            self.logger.error(  # noqa: TRY400
                "sms1680: unexpected error in the plugin (%s). The message may have been sent: "
                "check with the recipient or the platform before you send it again",
                type(error).__name__,
            )
        return False

    def _send(self, text: str, **kwargs: Any) -> bool:
        undeclared = kwargs.get("body_passthrough") or kwargs.get("body_format") is None
        if self._from_html and undeclared:
            # With ?format=html, a body without a declared format is HTML.
            text = convert_between(NotifyFormat.HTML, NotifyFormat.TEXT, text)
        text = text.replace("\r\n", "\n")
        state = self._recall(text, kwargs.get("started_at") or time.monotonic())
        duplicates: set[str] = set()
        if numbers := state.remaining(self.targets):
            sender = self._make_sender()
            if self.dedupe:
                receipts, duplicates = sender.send_once(
                    self._make_dedupe(), numbers, text, state.text, state.started_at
                )
            else:
                receipts = sender.send(numbers, state.text, state.started_at)
            for receipt in receipts:
                state.record(receipt)
        return self._finish(text, state, duplicates)

    def _make_sender(self) -> NotificationSender:
        return NotificationSender(
            self._account,
            gateway=self.gateway,
            signature=self._signature,
            extension=self.extension,
            rate=self.rate,
            batch=self.batch,
            timeouts=Timeouts(self.socket_connect_timeout, self.socket_read_timeout),
            verify=self.verify_certificate,
            limit=self._time_limit(),
            spending=self._spending_limits(),
        )

    def _spending_limits(self) -> SpendingLimits | None:
        """Return the limits of the spending guard. A daily cap in the URL replaces the hourly limit too."""
        if self.cap is None:
            return SpendingLimits()
        return SpendingLimits(hour=None, day=self.cap) if self.cap else None

    def _make_dedupe(self) -> Dedupe:
        account = self._account
        signature = f"{self.place} {self.signature}" if self.signature else ""
        context = (self.gateway, account.username, account.product_id, self.extension or "", signature)
        return Dedupe(self.dedupe, account.password.encode(), context)

    def _time_limit(self) -> float:
        """Return the time limit in seconds for all attempts at one notification together."""
        limit = getattr(self.asset, "_service_timeout", 0.0) or APPRISE_TIMEOUT
        return float(min(limit, APPRISE_TIMEOUT)) * SHARE_OF_TIMEOUT

    def _finish(self, text: str, state: RetryState, duplicates: set[str]) -> bool:
        """Log the outcomes so far. Return True if the platform accepted or holds all messages."""
        receipts = [state.receipts[number] for number in self.targets]
        unlogged = [receipt for receipt in receipts if receipt.number not in state.logged]
        success, failure = success_message(unlogged, duplicates), failure_message(receipts)
        if not self.targets:
            failure = "nothing was sent: there is no mobile number to send to."
        if self._invalid_targets:
            failure = f"{failure} Targets that are not mobile numbers: {len(self._invalid_targets)}.".lstrip()
        state.logged.update(receipt.number for receipt in unlogged if receipt.outcome.is_success)
        self._remember(text, state, succeeded=not failure)
        if success:
            shortened = units(text) > self.body_maxlen
            note = f"; the text was cut to {self.body_maxlen} characters" if shortened else ""
            self.logger.info("sms1680: %s%s", success, note)
        if failure:
            self.logger.error("sms1680: %s", failure)
        return not failure

    def _recall(self, text: str, started_at: float) -> RetryState:
        """Return the state of the notification that this attempt continues, or a new one."""
        if hasattr(NotifyBase, "recall"):
            state = cast("RetryState | None", self.recall(_MEMORY_KEY))
            if state is None:
                started_at = self.recall(_MEMORY_KEY, started_at, per_message=True)
                state = self._new_state(text, started_at)
                self.remember(_MEMORY_KEY, started_at, per_message=True)
                self.remember(_MEMORY_KEY, state)
            return state
        state = self._retry_memory.recall(text, getattr(self, "wait", 0.0))
        if state is None:
            state = self._new_state(text, started_at)
            if hasattr(self, "retry"):
                self._retry_memory.remember(text, state)
        return state

    def _new_state(self, text: str, started_at: float) -> RetryState:
        text = cut(text, self.body_maxlen)
        if self.stamp:
            now = datetime.now(getattr(self, "tzinfo", None))
            text = add_words(text, after=now.strftime(_STAMP))
        return RetryState(started_at, text)

    def _remember(self, text: str, state: RetryState, *, succeeded: bool) -> None:
        if hasattr(NotifyBase, "mark_delivered"):
            for number, receipt in state.receipts.items():
                if not is_retryable(receipt):
                    self.mark_delivered(number)
        else:
            self._retry_memory.finish(text, state, succeeded=succeeded)


def _parse_number(name: str, value: float | str | None, maximum: float = math.inf) -> float:
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number) and 0 <= number <= maximum:
        return number
    bounds = f"from 0 to {maximum:g}" if math.isfinite(maximum) else "not below 0"
    raise InvalidSettingError(f"{name} must be a number {bounds}")


def register() -> bool:
    """Register `sms1680://` with Apprise in this process. Return True if Apprise knows it now.

    Further calls change nothing. Code that Apprise itself imports must not call this: it would wait for Apprise's lock.
    """
    manager = NotificationManager()
    # The test with `in` makes Apprise load its own plugins first, including our loader.
    return "sms1680" in manager or bool(manager.add(NotifySMS1680))
