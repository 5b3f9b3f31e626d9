"""The Apprise service `sms1680://`: what its URL may say, and how a notification becomes an SMS."""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from apprise import NotifyBase, NotifyFormat
from apprise.conversion import convert_between
from apprise.locale import gettext_lazy as _
from apprise.manager_plugins import NotificationManager
from apprise.url import PrivacyMode

from .attempts import Attempts, OwnMemory, may_go_again
from .core import (
    DEFAULT_GATEWAY,
    MASK,
    MAX_LENGTH,
    PACKET_SIZE,
    Account,
    InvalidMessageError,
    PasswordForm,
    Signature,
    SignaturePlace,
    SpendingLimits,
    Timeouts,
    gateway_url,
    is_signed,
    mask_number,
    send_options,
    split_units,
    units,
)
from .dedupe import Dedupe
from .delivery import Delivery
from .targets import split_targets
from .telling import arrived, bad_news, good_news

try:
    from apprise.exception import AppriseImproperlyConfigured as ImproperlyConfigured
except ImportError:  # before Apprise 2
    ImproperlyConfigured = TypeError  # type: ignore[assignment,misc]
try:
    from apprise.utils.parse import parse_bool
except ImportError:  # Apprise 1.9.0
    from apprise.utils import parse_bool  # type: ignore[attr-defined,no-redef]

# The same variables as those of the command line.
PASSWORD = "SMS1680_PASSWORD"  # noqa: S105 - the variable's name
PASSWORD_MD5 = "SMS1680_PASSWORD_MD5"  # noqa: S105
GATEWAY = "SMS1680_GATEWAY"

# Apprise 2 stops waiting for a service after 60 seconds, but what it started goes on. All attempts together end before.
_SHARE_OF_LIMIT = 0.9
_APPRISE_LIMIT = 60.0
_LONGEST_DEDUPE = 7 * 24 * 3600
_STAMP = " %H:%M:%S"
_STAMP_LENGTH = 9
_CUT = "…"
_MEMORY = "sms1680"

_URL = re.compile(r"\s*[^:/\s]+:[/\\]+(?P<authority>[^/?\\]*)(?P<path>[^?]*)")

_called_at: contextvars.ContextVar[float | None] = contextvars.ContextVar("sms1680_called_at", default=None)


@contextlib.contextmanager
def _called_now() -> Iterator[None]:
    token = _called_at.set(time.monotonic())
    try:
        yield
    finally:
        _called_at.reset(token)


class NotifySMS1680(NotifyBase):
    """SMS through the enterprise platform 1680.

    product_id: of the account, as text. targets: mobile numbers, in any shape. gateway: the platform's address.
    extension: digits behind the sender's number. signature: the 【…】 without brackets. place: of it, "front",
    "behind", or "platform" (which adds it itself). batch: many numbers in one request. rate: items a second that the
    account is allowed. dedupe: seconds in which the same text is not sent to the same number again. stamp: the time
    behind the text. cap: parts a day of the account on this machine, 0 for any number; left out, 60 an hour and 200 a
    day. md5: the password given is its MD5 already. form: how it is sent, "md5" or "plain".

    Raises TypeError (AppriseImproperlyConfigured from Apprise 2 on) where the URL can't be used.
    """

    service_name = "SMS 1680"
    service_url = DEFAULT_GATEWAY
    setup_url = "https://github.com/sms1680/sms1680"
    secure_protocol = "sms1680"
    category = "native"

    title_maxlen = 0
    body_maxlen = MAX_LENGTH
    # The core keeps the account's pace, across processes as well.
    request_rate_per_sec = 0
    # Some answers take long, and one that is missed leaves the outcome unknown.
    socket_read_timeout = 30.0
    default_batch_size = PACKET_SIZE

    templates = (
        "{schema}://{user}:{password}@{product_id}/{targets}",
        "{schema}://{user}@{product_id}/{targets}",
    )
    template_tokens: ClassVar[dict[str, Any]] = dict(
        NotifyBase.template_tokens,
        user={"name": _("User Name"), "type": "string", "required": True},
        password={"name": _("Password"), "type": "string", "private": True},
        product_id={"name": _("Product ID"), "type": "string", "required": True},
        target_phone={
            "name": _("Target Phone No"),
            "type": "string",
            "prefix": "+",
            "regex": (r"^[0-9\s)(+-]+$", "i"),
            "map_to": "targets",
        },
        targets={"name": _("Targets"), "type": "list:string", "required": True},
    )
    template_args: ClassVar[dict[str, Any]] = dict(
        NotifyBase.template_args,
        to={"alias_of": "targets"},
        gateway={"name": _("Gateway Address"), "type": "string", "default": DEFAULT_GATEWAY},
        extension={"name": _("Extension"), "type": "string", "regex": (r"^[0-9]{1,20}$", "")},
        xh={"alias_of": "extension"},
        **{"from": {"alias_of": "extension"}},
        signature={"name": _("Signature"), "type": "string"},
        sign={"alias_of": "signature"},
        place={
            "name": _("Signature Place"),
            "type": "choice:string",
            "values": ("front", "behind", "platform"),
            "default": "front",
        },
        batch={"name": _("Batch Mode"), "type": "bool", "default": True},
        rate={"name": _("Rate (items a second)"), "type": "float", "min": 0.0},
        dedupe={
            "name": _("Seconds without Repeats"),
            "type": "int",
            "min": 0,
            "max": _LONGEST_DEDUPE,
            "default": 0,
        },
        stamp={"name": _("Append Time"), "type": "bool", "default": False},
        cap={"name": _("Parts a Day"), "type": "int", "min": 0},
        md5={"name": _("Password Is Its MD5"), "type": "bool", "default": False},
        form={
            "name": _("Password Form Sent"),
            "type": "choice:string",
            "values": ("md5", "plain"),
            "default": "md5",
        },
    )

    def __init__(  # noqa: PLR0917 - Apprise looks for the names among the positional ones
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
        # Apprise would decode once more what `parse_url` has decoded.
        self.user = kwargs.get("user")
        self.password = kwargs.get("password")
        self.product_id = product_id
        self.extension = extension or None
        self.place: SignaturePlace = place or "front"
        self.batch = True if batch is None else parse_bool(batch, default=True)
        self.rate = self._number("rate", rate) or None
        self.dedupe = math.ceil(self._number("dedupe", dedupe, most=_LONGEST_DEDUPE))
        self.stamp = parse_bool(stamp)
        self.cap = None if cap is None or cap == "" else int(self._number("cap", cap))
        self.md5 = parse_bool(md5)
        self.form: PasswordForm = form or "md5"
        self.targets, self._invalid_targets = split_targets(targets)
        try:
            self.gateway = gateway_url(gateway or DEFAULT_GATEWAY)
            self._account = self._make_account()
            checked = Signature(signature or "-", self.place)  # the place is checked without one, too
            self._signature = checked if signature else None
            send_options(None, self.extension, datetime.now(UTC))
        except InvalidMessageError as error:
            raise self._improper(str(error)) from None
        self._flatten = self.notify_format == NotifyFormat.HTML
        # Apprise flattens HTML for who takes plain text only.
        self.notify_format = NotifyFormat.TEXT
        signed = units(self._signature.name) + 2 if self._signature else 0
        self.body_maxlen = MAX_LENGTH - signed - (_STAMP_LENGTH if self.stamp else 0)
        self._own_memory = OwnMemory()
        if self._invalid_targets:
            self.logger.warning("sms1680: %d of the targets are no mobile numbers", len(self._invalid_targets))

    @property
    def url_identifier(self) -> tuple[str | None, ...]:
        """What tells one account from another; targets are no part of it."""
        return (self.secure_protocol, self.user, self.password, self.product_id, self.gateway)

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:  # noqa: FBT001, FBT002 - Apprise's
        """Return the URL that makes this very service again; with `privacy` it shows no secret and no whole number."""
        params = self.url_parameters(privacy, *args, **kwargs)
        if self._flatten:
            params["format"] = "html"
        params.update(self._own_parameters())
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
        """Return the number of requests that a notification takes."""
        size = self.default_batch_size if self.batch else 1
        return max(1, math.ceil(len(self.targets) / size))

    @staticmethod
    def parse_url(url: object, verify_host: bool = False) -> dict[str, Any] | None:  # noqa: FBT001, FBT002
        """Take a URL apart; returns None where it is none.

        Account and numbers are read from the URL itself: Apprise would cut a password at its second `:` or `@`.
        verify_host: of no use, there is no host in it.
        """
        results = NotifyBase.parse_url(url, verify_host=verify_host)
        found = _URL.match(url) if isinstance(url, str) else None
        if not results or not found:
            return None
        userinfo, _at, product_id = found["authority"].rpartition("@")
        user, _colon, password = userinfo.partition(":")
        asked: dict[str, str] = results["qsd"]
        results.update(
            user=asked.get("user") or unquote(user),
            password=asked.get("password") or asked.get("pass") or unquote(password),
            host=product_id,
            port=None,
            product_id=unquote(product_id),
            targets=[unquote(target) for target in found["path"].split("/") if target],
        )
        if asked.get("to"):
            results["targets"].append(asked["to"])
        for name, others in _ARGUMENTS.items():
            value = next((asked[key] for key in (name, *others) if asked.get(key)), None)
            if value is not None:
                results[name] = value
        return results

    def notify(self, *args: Any, **kwargs: Any) -> bool:
        """Notify as Apprise has it; the time limit counts from here for all pieces of a long message."""
        with _called_now():
            return super().notify(*args, **kwargs)

    async def async_notify(self, *args: Any, **kwargs: Any) -> bool:
        """See `notify`; Apprise sends in a thread of its own."""
        with _called_now():
            return await super().async_notify(*args, **kwargs)

    def send(self, body: str, title: str = "", **kwargs: Any) -> bool:
        """Send one text to all targets; returns whether the platform took every one of them. Never raises."""
        try:
            return self._send("\n".join(part for part in (title, body) if part), **kwargs)
        except InvalidMessageError as error:
            self.logger.error("sms1680: nothing was sent: %s", error)  # noqa: TRY400 - its sentence says it all
        except Exception as error:  # noqa: BLE001 - hosts don't expect one, and its text could quote the message
            self.logger.error(  # noqa: TRY400
                "sms1680: a fault of the plugin (%s). The message may have been sent: do not simply send it again",
                type(error).__name__,
            )
        return False

    def _send(self, text: str, **kwargs: Any) -> bool:
        text = self._plain(text, **kwargs)
        attempts = self._attempts(text)
        left_out: set[str] = set()
        if numbers := attempts.unsettled(self.targets):
            if self.dedupe:
                receipts, left_out = self._delivery().send_once(
                    self._dedupe(), numbers, text, attempts.text, attempts.began
                )
            else:
                receipts = self._delivery().send(numbers, attempts.text, attempts.began)
            for receipt in receipts:
                attempts.take(receipt)
        return self._conclude(text, attempts, left_out)

    def _delivery(self) -> Delivery:
        return Delivery(
            self._account,
            gateway=self.gateway,
            signature=self._signature,
            extension=self.extension,
            rate=self.rate,
            batch=self.batch,
            timeouts=Timeouts(self.socket_connect_timeout, self.socket_read_timeout),
            verify=self.verify_certificate,
            limit=self._limit(),
            spending=self._spending(),
        )

    def _spending(self) -> SpendingLimits | None:
        """Return what the guard lets pass: who names a day's cap has thought of what an hour may hold."""
        if self.cap is None:
            return SpendingLimits()
        return SpendingLimits(hour=None, day=self.cap) if self.cap else None

    def _dedupe(self) -> Dedupe:
        account = self._account
        signature = f"{self._signature.place} {self._signature.name}" if self._signature else ""
        context = (self.gateway, account.username, account.product_id, self.extension or "", signature)
        return Dedupe(self.dedupe, account.password.encode(), context)

    def _conclude(self, text: str, attempts: Attempts, left_out: set[str]) -> bool:
        """Tell what became of the notification so far, and return whether all of it went out."""
        receipts = [attempts.receipts[number] for number in self.targets]
        fresh = [receipt for receipt in receipts if receipt.number not in attempts.told]
        good, bad = good_news(fresh, left_out), bad_news(receipts)
        if not self.targets:
            bad = "nothing was sent: there is no mobile number to send to."
        if self._invalid_targets:
            bad = f"{bad} {len(self._invalid_targets)} of the targets are no mobile numbers.".lstrip()
        attempts.told.update(receipt.number for receipt in fresh if arrived(receipt))
        self._remember(text, attempts, succeeded=not bad)
        if good:
            cut = f"; the text was cut to {self.body_maxlen} characters" if units(text) > self.body_maxlen else ""
            self.logger.info("sms1680: %s%s", good, cut)
        if bad:
            self.logger.error("sms1680: %s", bad)
        return not bad

    def _plain(self, text: str, **kwargs: Any) -> str:
        """Return the text as a phone can show it."""
        undeclared = kwargs.get("body_passthrough") or kwargs.get("body_format") is None
        if self._flatten and undeclared:
            # Who asks for ?format=html hands over HTML, also where the call does not say so.
            text = convert_between(NotifyFormat.HTML, NotifyFormat.TEXT, text)
        return text.replace("\r\n", "\n")

    def _written(self, text: str) -> str:
        """Return the text as it goes out: at most what the core sends in one message, and with the time if asked for.

        Apprise leaves it to a service what becomes of a text that is too long: an alarm that is cut is worth more than
        one that is refused. Who wants all of it says ?overflow=split.
        """
        if units(text) > self.body_maxlen:
            text = next(split_units(text, self.body_maxlen - len(_CUT))) + _CUT
        if not self.stamp:
            return text
        stamp = datetime.now(getattr(self, "tzinfo", None)).strftime(_STAMP)
        head, bracket, signature = text.rpartition("【")
        if head.strip() and is_signed(text) and text.rstrip().endswith("】"):
            return head.rstrip() + stamp + bracket + signature  # a signature counts at the end only
        return text + stamp

    def _limit(self) -> float:
        """Return the seconds that all attempts at one notification may take together."""
        limit = getattr(self.asset, "_service_timeout", 0.0) or _APPRISE_LIMIT
        return float(min(limit, _APPRISE_LIMIT)) * _SHARE_OF_LIMIT

    def _attempts(self, text: str) -> Attempts:
        """Return what an attempt continues, or the beginning of a notification."""
        began = _called_at.get() or time.monotonic()
        if hasattr(NotifyBase, "recall"):
            attempts = self.recall(_MEMORY)
            if attempts is None:
                began = self.recall(_MEMORY, began, per_message=True)
                attempts = Attempts(began, self._written(text))
                self.remember(_MEMORY, began, per_message=True)
                self.remember(_MEMORY, attempts)
            return cast("Attempts", attempts)
        attempts = self._own_memory.recall(text, getattr(self, "wait", 0.0))
        if attempts is None:
            attempts = Attempts(began, self._written(text))
            if hasattr(self, "retry"):
                self._own_memory.remember(text, attempts)
        return attempts

    def _remember(self, text: str, attempts: Attempts, *, succeeded: bool) -> None:
        if hasattr(NotifyBase, "mark_delivered"):
            for number, receipt in attempts.receipts.items():
                if not may_go_again(receipt):
                    self.mark_delivered(number)
        else:
            self._own_memory.end(text, attempts, succeeded=succeeded)

    def _own_parameters(self) -> dict[str, str]:
        """Return what differs from the defaults, as it stands in a URL."""
        return {
            name: value
            for name, value, default in (
                ("gateway", self.gateway, DEFAULT_GATEWAY),
                ("extension", self.extension or "", ""),
                ("signature", self._signature.name if self._signature else "", ""),
                ("place", self.place, "front"),
                ("batch", "yes" if self.batch else "no", "yes"),
                ("rate", f"{self.rate:g}" if self.rate else "", ""),
                ("dedupe", str(self.dedupe), "0"),
                ("stamp", "yes" if self.stamp else "no", "no"),
                ("cap", "" if self.cap is None else str(self.cap), ""),
                ("md5", "yes" if self.md5 else "no", "no"),
                ("form", self.form, "md5"),
            )
            if value != default
        }

    def _make_account(self) -> Account:
        if not self.user:
            raise self._improper("there is no user name: sms1680://user:password@product_id/number")
        if not self.product_id:
            raise self._improper("there is no product id: sms1680://user:password@product_id/number")
        if ":" in self.product_id:
            raise self._improper("a port is part of the gateway's address: ?gateway=http://host:port")
        if not self.password:
            password, digest = self._environment_password()
        elif self.md5:
            password, digest = None, self.password
        else:
            password, digest = self.password, None
        if password and re.fullmatch(r"[0-9a-fA-F]{32}", password):
            raise self._improper(
                "the password looks like an MD5: add ?md5=yes if it is; if it really is the plain password, "
                "give the MD5 of it, with ?md5=yes"
            )
        return Account(self.user, password, product_id=self.product_id, password_md5=digest, form=self.form)

    def _environment_password(self) -> tuple[str | None, str | None]:
        """Return the password that the host keeps out of its URLs, plain or as MD5.

        Only for the gateways that it is meant for: who may enter a URL must not get it sent to an address of theirs.
        """
        password, digest = os.environ.get(PASSWORD) or None, os.environ.get(PASSWORD_MD5) or None
        if not password and not digest:
            raise self._improper(f"there is no password, neither in the URL nor in the variable {PASSWORD}")
        try:
            meant = gateway_url(os.environ.get(GATEWAY) or DEFAULT_GATEWAY)
        except InvalidMessageError:
            meant = DEFAULT_GATEWAY
        if self.gateway not in (DEFAULT_GATEWAY, meant):
            raise self._improper(
                f"the password of the variable {PASSWORD} goes to {DEFAULT_GATEWAY} or to the address in the variable "
                f"{GATEWAY} only"
            )
        return password, None if password else digest

    def _number(self, name: str, value: float | str | None, most: float = math.inf) -> float:
        try:
            number = float(value or 0)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and 0 <= number <= most):
            raise self._improper(f"{name} is a number from 0" + (f" to {most:g}" if math.isfinite(most) else ""))
        return number

    def _improper(self, sentence: str) -> Exception:
        self.logger.error("sms1680: %s", sentence)
        return ImproperlyConfigured(sentence)


# What the class takes, with its other names in a URL.
_ARGUMENTS: dict[str, Iterable[str]] = {
    "gateway": (),
    "extension": ("xh", "from"),
    "signature": ("sign",),
    "place": (),
    "batch": (),
    "rate": (),
    "dedupe": (),
    "stamp": (),
    "cap": (),
    "md5": (),
    "form": (),
}


def register() -> bool:
    """Make `sms1680://` known to Apprise in this process, for who writes Python; calling it again changes nothing.

    Returns whether Apprise knows it now. Not for code that Apprise itself imports: it would wait for itself.
    """
    manager = NotificationManager()
    # Asking loads Apprise's own services first, our native loader among them.
    return "sms1680" in manager or bool(manager.add(NotifySMS1680))
