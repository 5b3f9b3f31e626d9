"""The tokens and arguments of a `sms1680://` URL, as `apprise --details` lists them."""

import math
from collections.abc import Mapping
from typing import Any

from apprise.locale import gettext_lazy as _

from .core import DEFAULT_GATEWAY, LARGEST_PACKET, InvalidSettingError, mask_address

try:
    from apprise.utils.parse import parse_bool
except ImportError:  # Apprise 1.9.0
    from apprise.utils import parse_bool  # type: ignore[attr-defined,no-redef]

MAX_DEDUPE = 7 * 24 * 3600

TEMPLATES = (
    "{schema}://{user}:{password}@{product_id}/{targets}",
    "{schema}://{user}@{product_id}/{targets}",
)
TOKENS: dict[str, dict[str, Any]] = {
    "user": {"name": _("User Name"), "type": "string", "required": True},
    "password": {"name": _("Password"), "type": "string", "private": True},
    "product_id": {"name": _("Product ID"), "type": "string", "required": True},
    "target_phone": {
        "name": _("Target Phone No"),
        "type": "string",
        "prefix": "+",
        "regex": (r"^[0-9\s)(+-]+$", "i"),
        "map_to": "targets",
    },
    "targets": {"name": _("Targets"), "type": "list:string", "required": True},
}
# The arguments of NotifySMS1680, under the names of its constructor.
OPTIONS: dict[str, dict[str, Any]] = {
    "gateway": {"name": _("Gateway Address"), "type": "string", "default": DEFAULT_GATEWAY},
    "extension": {"name": _("Extension"), "type": "string", "regex": (r"^[0-9]{1,20}$", "")},
    "signature": {"name": _("Signature"), "type": "string"},
    "place": {
        "name": _("Signature Place"),
        "type": "choice:string",
        "values": ("front", "behind", "platform"),
        "default": "front",
    },
    "batch": {
        "name": _("Batch Mode (yes, no, or items a request)"),
        "type": "string",
        "regex": (r"^(yes|no|[0-9]{1,4})$", "i"),
        "default": "yes",
    },
    "rate": {"name": _("Rate (items a second)"), "type": "float", "min": 0.0},
    "dedupe": {"name": _("Seconds without Repeats"), "type": "int", "min": 0, "max": MAX_DEDUPE, "default": 0},
    "stamp": {"name": _("Append Time"), "type": "bool", "default": False},
    "cap": {"name": _("Parts a Day"), "type": "int", "min": 0},
    "critical": {"name": _("Critical"), "type": "bool", "default": False},
    "repeat": {
        "name": _("Repeat Once"),
        "type": "choice:string",
        "values": ("no", "unknown"),
        "default": "no",
    },
    "state": {"name": _("State Folder or Server"), "type": "string", "private": True},
    "md5": {"name": _("Password Is Its MD5"), "type": "bool", "default": False},
    "form": {"name": _("Password Form Sent"), "type": "choice:string", "values": ("md5", "plain"), "default": "md5"},
}
OPTION_ALIASES: dict[str, tuple[str, ...]] = {"extension": ("xh", "from"), "signature": ("sign",)}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "to": {"alias_of": "targets"},
    **OPTIONS,
    **{alias: {"alias_of": name} for name, aliases in OPTION_ALIASES.items() for alias in aliases},
}


def read_options(query: Mapping[str, str]) -> dict[str, str]:
    """Return the options that a URL's query sets. The first name with a value wins: its own, then its aliases."""
    found = {
        name: next((query[key] for key in (name, *OPTION_ALIASES.get(name, ())) if query.get(key)), None)
        for name in OPTIONS
    }
    return {name: value for name, value in found.items() if value is not None}


def write_options(values: Mapping[str, object], *, privacy: bool = False) -> dict[str, str]:
    """Return the options that differ from their defaults, in the notation of a URL. privacy: mask the password."""
    if privacy and isinstance(state := values["state"], str):
        values = {**values, "state": mask_address(state)}
    return {
        name: _format(value)
        for name, value in values.items()
        if value is not None and _format(value) != _format(OPTIONS[name].get("default"))
    }


def read_text(value: object) -> str | None:
    """Return a setting as text, None if it is empty. YAML reads unquoted digits as a number."""
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return None if value is None or value is False else str(value) or None


def parse_number(name: str, value: float | str | None, maximum: float = math.inf) -> float:
    """Return a number from 0 to `maximum`. Raise InvalidSettingError for anything else."""
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number) and 0 <= number <= maximum:
        return number
    if math.isfinite(maximum):
        raise InvalidSettingError(
            f"{name} must be a number from 0 to {maximum:g}", f"`{name}` 须为 0 至 {maximum:g} 的数"
        )
    raise InvalidSettingError(f"{name} must be a number not below 0", f"`{name}` 须为不小于 0 的数")


def parse_flag(value: bool | str | None) -> bool:  # noqa: FBT001
    """Return True or False for any of Apprise's words for them; None is False."""
    return bool(parse_bool(value))


def parse_batch(value: bool | float | str | None) -> bool | int:  # noqa: FBT001
    """Return True or False for the words of `batch=`, or the items of each request. Raise InvalidSettingError."""
    text = str(value).strip()
    if text.isdecimal() and int(text) > 0:
        return int(parse_number("batch", text, LARGEST_PACKET))
    return value is None or bool(parse_bool(value, default=True))


def _format(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
