"""Installed into the folder of Apprise's own plugins, so that Apprise finds `sms1680://` by itself.

This module must not register anything: Apprise holds its lock while it imports this file.
"""

try:
    from sms1680.apprise import NotifySMS1680  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
except Exception as error:  # noqa: BLE001 - anything but ImportError would disable all of Apprise's services
    from apprise.logger import logger

    logger.debug("sms1680:// is not available: %s", error)
