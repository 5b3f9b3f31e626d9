"""The Apprise plugin: `sms1680://` for every program that sends notifications through Apprise.

Once this package is installed with pip, Apprise finds the plugin by itself. Python programs can also call `register()`.
Importing this package registers nothing.
"""

from .plugin import NotifySMS1680, register

__all__ = ["NotifySMS1680", "register"]
