"""The Apprise door: `sms1680://` for every program that notifies through Apprise.

Installed with pip, Apprise finds it by itself. Who writes Python may as well call `register()`. Importing this package
changes nothing anywhere.
"""

from __future__ import annotations

from .plugin import NotifySMS1680, register

__all__ = ["NotifySMS1680", "register"]
