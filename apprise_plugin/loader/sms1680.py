"""Stands among Apprise's own plugins, so that Apprise finds `sms1680://` wherever this package is installed.

Nothing here may register anything: Apprise holds its lock while it reads this file.
"""

try:
    from sms1680.apprise import NotifySMS1680  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
except Exception as error:  # noqa: BLE001 - anything but ImportError would stop all of Apprise's services
    from apprise.logger import logger

    logger.debug("sms1680:// is not available: %s", error)
