"""The platform's four calls as HTTP requests (docs/protocol.md, section 2)."""

from dataclasses import replace
from datetime import timedelta, timezone
from urllib.parse import urlencode

from ..account import Account
from ..plan import LETTERS, SendKind, SendPlan, fill, row_error
from .transport import Request

CHINA = timezone(timedelta(hours=8), "CST")

_FORM = (("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),)


# The path of each sending interface, the form field that lists the items, and their separator.
INTERFACES: dict[SendKind, tuple[str, str, str]] = {
    "send": ("/sendXSms.do", "mobile", ","),
    "template": ("/sendDIYSms.do", "params", ";"),
    "batch": ("/sendPackSms.do", "content", "$"),
}


def has_separator(plan: SendPlan, item: int) -> bool:
    """Return whether an item contains a separator of its interface, which HTTP cannot escape."""
    if plan.kind == "batch":
        text = plan.texts[item]
        return "|" in text or "$" in text
    return plan.kind == "template" and any("," in value or ";" in value for value in plan.values[item])


def is_single(plan: SendPlan, item: int) -> bool:
    """Return whether an item must be sent by itself: HTTP cannot escape it, or the platform would fill in another text.

    The latter applies to a value that has the signature: the template has it, too.
    """
    if has_separator(plan, item):
        return True
    if plan.kind != "template" or not any("【" in value or "】" in value for value in plan.values[item]):
        return False
    return fill(plan.content, plan.numbers[item], plan.values[item]) != plan.texts[item]


def check_separators(plan: SendPlan) -> SendPlan:
    """Return the plan. Raise InvalidMessageError if an item contains a separator of its interface."""
    for item in range(len(plan.numbers)) if plan.kind != "send" else ():
        if not has_separator(plan, item):
            continue
        if plan.kind == "batch":
            raise row_error(
                plan.row_of(item),
                "has | or $ in its text, which a batch over HTTP cannot send",
                "内容含 | 或 $，批量发送无法传送",
            )
        letter = next(letter for letter, value in zip(LETTERS, plan.values[item], strict=False) if {*",;"} & {*value})
        raise row_error(
            plan.row_of(item),
            f"has , or ; in the value of {{{letter}}}, which a template over HTTP cannot send",
            f" {{{letter}}} 的值含 , 或 ;，无法传送",
        )
    return plan


def single(plan: SendPlan, item: int) -> SendPlan:
    """Return the plan that sends one row of a template or a batch as a text of its own."""
    text = plan.texts[item]
    return replace(
        plan, kind="send", content=text, numbers=[plan.numbers[item]], texts=[text], values=(), places=range(1)
    )


def build_send(gateway: str, account: Account, plan: SendPlan, start: int, end: int) -> Request:
    """Return the request that sends the items of a plan from `start` to before `end`.

    Always a POST form: with GET, the password and the text would be in the address and in logs along the path.
    """
    path, list_field, separator = INTERFACES[plan.kind]
    fields = [
        ("username", account.username),
        ("password", account.password),
        ("productid", account.product_id),
        (list_field, separator.join(_items(plan, start, end))),
    ]
    if plan.content:
        fields.append(("content", plan.content))
    if plan.at is not None:
        fields.append(("dstime", plan.at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")))
    if plan.extension:
        fields.append(("xh", plan.extension))
    return Request("POST", gateway + path, urlencode(fields).encode(), _FORM)


def build_balance(gateway: str, account: Account) -> Request:
    """Return the balance request. It is always a GET request, so its address contains the password."""
    query = urlencode(
        [("username", account.username), ("password", account.balance_password), ("productid", account.product_id)]
    )
    return Request("GET", f"{gateway}/balance.do?{query}", secret_url=True)


def _items(plan: SendPlan, start: int, end: int) -> list[str]:
    numbers = list(plan.numbers[start:end])
    if plan.kind == "batch":
        return [f"{number}|{text}" for number, text in zip(numbers, plan.texts[start:end], strict=True)]
    if plan.kind == "template":
        return [",".join((number, *values)) for number, values in zip(numbers, plan.values[start:end], strict=True)]
    return numbers
