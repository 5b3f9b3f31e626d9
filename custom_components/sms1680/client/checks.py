"""Checks of numeric settings."""

import math

from .errors import InvalidSettingError


def whole(name: str, value: int, most: int) -> int:
    """Return a whole number from 1 to `most`. Raise InvalidSettingError, with the setting's name, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidSettingError(
            f"{name} must be a whole number from 1 to {most}", f"`{name}` 须为 1 至 {most} 的整数"
        )
    return value


def amount(name: str, value: int) -> int:
    """Return a whole number from 0. Raise InvalidSettingError, with the setting's name, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidSettingError(f"{name} must be a whole number from 0", f"`{name}` 须为不小于 0 的整数")
    return value


def seconds(name: str, value: float) -> float:
    """Return a finite number from 0. Raise InvalidSettingError, with the setting's name, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InvalidSettingError(f"{name} must be a number from 0", f"`{name}` 须为不小于 0 的数")
    return float(value)


def positive(name: str, value: float) -> float:
    """Return a finite number above 0. Raise InvalidSettingError, with the setting's name, for anything else."""
    if seconds(name, value) <= 0:
        raise InvalidSettingError(f"{name} must be above 0", f"`{name}` 须大于 0")
    return float(value)
