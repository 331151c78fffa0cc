"""A Chromium without a network, for pages that are opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1280,800",
    # No name leads anywhere: what needs the network fails, and says so on the console.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no Chromium with its chromedriver is installed")
    options = ChromeOptions()
    options.binary_location = program
    for switch in (*_SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=ChromeService(driver))
    try:
        browser.set_script_timeout(20)
        yield browser
    finally:
        browser.quit()


class Tab:
    """A page in the browser, asked and acted upon by a few words."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def run(self, script: str, *args: Any) -> Any:
        """Run script in the page; `arguments` are the others, what it returns comes back."""
        return self.browser.execute_script(script, *args)

    def text(self, id: str) -> str:
        """The text of an element."""
        return str(self.run("return document.getElementById(arguments[0]).textContent", id))

    def press(self, id: str) -> None:
        """Click on an element, as a reader would."""
        self.browser.find_element("id", id).click()

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def messages(self) -> list[str]:
        """What was written to the console since the last time."""
        browser: Any = self.browser
        return [str(entry["message"]) for entry in browser.get_log("browser")]

    def look(
        self, *, width: int = 1280, height: int = 800, scheme: str = "light", motion: str = "reduce"
    ) -> None:
        """What the reader's screen and system are like."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def opened(chromium: Chrome, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Opens a document from disk; at the end of the test the console must have stayed silent."""
    tab = Tab(chromium)

    def open_(html: str, **look: Any) -> Tab:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        tab.look(**look)
        tab.browser.get(path.as_uri())
        return tab

    tab.messages()
    yield open_
    said = tab.messages()
    tab.browser.get("about:blank")
    assert said == []
