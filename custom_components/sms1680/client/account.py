"""Who sends: user name, product and the password in the forms that the platform takes."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from .errors import InvalidSettingError
from .masking import MASK

PasswordForm = Literal["md5", "plain"]

_MD5 = re.compile(r"[0-9a-fA-F]{32}")


class Account:
    """An account of the platform (document, chapter 2: `username`, `password`, `productid`).

    username: the 登陆名称. product_id: text, for ids that are not numbers exist.
    password: the plain one; only its MD5 is kept unless `form` or `balance_form` is "plain".
    password_md5: its 32-digit MD5 instead, where only that is at hand.
    form, balance_form: how the password is sent with a message and when asking for the balance (the document
    promises both forms for sending and says nothing of the balance).

    Raises InvalidSettingError. Neither `repr` nor an error ever shows the password.
    """

    __slots__ = ("_balance_password", "_password", "product_id", "username")

    def __init__(
        self,
        username: str,
        password: str | None = None,
        *,
        product_id: str,
        password_md5: str | None = None,
        form: PasswordForm = "md5",
        balance_form: PasswordForm = "md5",
    ) -> None:
        """Keep what is needed on the wire, and no more."""
        self.username = _filled(username, "username", "登陆名称")
        if isinstance(product_id, bool) or not isinstance(product_id, str):
            raise InvalidSettingError("product_id must be text: ids that are not numbers exist", "产品 ID 须为文本")
        self.product_id = _filled(product_id, "product_id", "产品 ID")
        if form not in ("md5", "plain") or balance_form not in ("md5", "plain"):
            raise InvalidSettingError("a password's form is md5 or plain", "密码形式只能是 md5 或 plain")
        digest = _digest(password, password_md5)
        forms = {"md5": digest, "plain": password}
        if "plain" in (form, balance_form) and password is None:
            raise InvalidSettingError(
                "the plain form needs the plain password, not its MD5", "明文形式需要明文密码，而不是 MD5"
            )
        self._password = str(forms[form])
        self._balance_password = str(forms[balance_form])

    @property
    def password(self) -> str:
        """The password as it goes out with a message. Secret."""
        return self._password

    @property
    def balance_password(self) -> str:
        """The password as it goes out when the balance is asked for. Secret."""
        return self._balance_password

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown, for masking foreign texts."""
        return (self._password, self._balance_password)

    def __repr__(self) -> str:
        """Show no secret; the user name is one half of the credentials and stays hidden too."""
        return f"Account({self.username[:1]}{MASK}, product_id={self.product_id!r})"

    def __eq__(self, other: object) -> bool:
        """Two accounts are equal when they put the same on the wire."""
        return isinstance(other, Account) and self._key() == other._key()

    def __hash__(self) -> int:
        """Hash what equality compares."""
        return hash(self._key())

    def _key(self) -> tuple[str, ...]:
        return (self.username, self.product_id, self._password, self._balance_password)


def _filled(value: str, en: str, zh: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidSettingError(f"{en} is empty or not printable text", f"{zh}为空或含不可见字符")
    return value.strip()


def _digest(password: str | None, password_md5: str | None) -> str:
    if (password is None) == (password_md5 is None):
        raise InvalidSettingError("give either password or password_md5", "请提供密码或其 MD5，二者取一")
    if password_md5 is not None:
        if not _MD5.fullmatch(password_md5):
            raise InvalidSettingError("password_md5 is not 32 hexadecimal digits", "密码 MD5 须为 32 位十六进制")
        return password_md5.lower()
    if not password:
        raise InvalidSettingError("the password is empty", "密码为空")
    if _MD5.fullmatch(password):
        raise InvalidSettingError(
            "the password looks like an MD5 (32 hexadecimal digits): give it as password_md5; "
            "if it really is the plain password, give the MD5 of it as password_md5",
            "密码像是 MD5（32 位十六进制）：请作为 password_md5 提供；若它确是明文密码，请提供它的 MD5",
        )
    # The platform's document prescribes MD5; it protects nothing, it is only the form that is sent.
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
