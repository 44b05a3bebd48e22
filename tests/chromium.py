"""Headless Chromium, driven by selenium, with a folder of its own for what it downloads."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,1100", "--lang=en",
    "--force-prefers-reduced-motion",
)  # fmt: skip


@contextmanager
def chromium(selenium: Any, home: Path) -> Iterator[Any]:
    """A browser that speaks English and keeps what its pages say on the console."""
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {
        "download.default_directory": str(home), "intl.accept_languages": "en",
        "profile.default_content_setting_values.automatic_downloads": 1,
    })  # fmt: skip
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    found.home = home
    try:
        yield found
    finally:
        found.quit()
