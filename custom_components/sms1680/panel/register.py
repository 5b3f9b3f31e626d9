"""Register the page in the sidebar, and the card for dashboards, where Home Assistant's frontend is loaded."""

import hashlib
from pathlib import Path
from typing import Any, Final

from homeassistant.components.frontend import add_extra_js_url, async_register_built_in_panel, async_remove_panel
from homeassistant.components.http import StaticPathConfig
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from ..const import CONF_SHOW_PANEL, DOMAIN
from ..errors import language

PANEL_PATH: Final = DOMAIN  # the page's address
_FILES: Final = Path(__file__).parent / "www"
_TITLES: Final = ("SMS", "短信")
_FRONTEND: Final = "frontend"


class _Page:
    """The page. address: of its files, which contains their digest, so that browsers can cache them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_shown = False
        self.has_card = False


_DATA_PAGE: HassKey[_Page] = HassKey(f"{DOMAIN}_page")


async def async_serve_files(hass: HomeAssistant) -> None:
    """Serve the files of the page and of the card."""
    digest = await hass.async_add_executor_job(_digest)
    page = hass.data[_DATA_PAGE] = _Page(f"/{DOMAIN}_files/{digest}")
    await hass.http.async_register_static_paths([StaticPathConfig(page.address, str(_FILES), cache_headers=True)])


@callback
def async_update_page(hass: HomeAssistant, *, without: ConfigEntry[Any] | None = None) -> None:
    """Show the page in the sidebar if the options of an account want it. without: an account that is being removed."""
    if _FRONTEND not in hass.config.components:
        return
    page = hass.data[_DATA_PAGE]
    entries = [entry for entry in hass.config_entries.async_entries(DOMAIN, include_disabled=False) if entry != without]
    if entries and not page.has_card:
        add_extra_js_url(hass, f"{page.address}/card.js")
        page.has_card = True
    wanted = any(entry.options.get(CONF_SHOW_PANEL, True) for entry in entries)
    if wanted and not page.is_shown:
        module = {"name": f"{DOMAIN}-panel", "module_url": f"{page.address}/panel.js"}
        config = {"_panel_custom": {**module, "embed_iframe": False, "trust_external": False}}
        async_register_built_in_panel(
            hass,
            "custom",
            sidebar_title=_TITLES[language(hass) == "zh"],
            sidebar_icon="mdi:message-text",
            frontend_url_path=PANEL_PATH,
            config=config,
        )
    elif page.is_shown and not wanted:
        async_remove_panel(hass, PANEL_PATH)
    page.is_shown = wanted


def _digest() -> str:
    """Return a digest of all files."""
    content = b"".join(path.read_bytes() for path in sorted(_FILES.glob("*.js")))
    return hashlib.sha256(content).hexdigest()[:12]
