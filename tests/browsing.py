"""Headless Chromium for tests of the page, and a person's hand in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from served import Served

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDED = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,1100", "--lang=en",
    "--force-prefers-reduced-motion",
)  # fmt: skip


@contextmanager
def chromium(home: Path) -> Iterator[Any]:
    """A browser whose downloads come to a folder, which is its `home`."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {
        "download.default_directory": str(home), "intl.accept_languages": "en",
        "profile.default_content_setting_values.automatic_downloads": 1,
    })  # fmt: skip
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    found.home = home
    try:
        yield found
    finally:
        found.quit()


def find(browser: Any, css: str) -> list[Any]:
    return browser.find_elements("css selector", css)


def one(browser: Any, css: str) -> Any:
    (found,) = find(browser, css)
    return found


def until(true: Any, seconds: float = 60) -> None:
    end = monotonic() + seconds
    while not true():
        assert monotonic() < end
        sleep(0.05)


def pixels(path: Path) -> np.ndarray:
    with Pillow.open(path) as picture:
        return np.asarray(picture)


def put(browser: Any, name: str, value: Any) -> None:
    """A value into a field, as a person's hand would."""
    browser.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}));", name, value
    )  # fmt: skip


def opened(browser: Any, served: Served) -> None:
    browser.get_log("browser")  # what earlier tests left
    browser.get(served.address)
    until(lambda: "small" in one(browser, "#about").text)


def made(browser: Any, count: int, what: str = "img", where: str = "#shown") -> list[Any]:
    css = f"{where} figure {what}"
    until(lambda: len(find(browser, css)) == count and not one(browser, "#waiting").is_displayed())
    assert not one(browser, "#problem").is_displayed(), one(browser, "#problem").text
    return find(browser, css)


def press(browser: Any, name: str) -> None:
    """A button, wherever the page has been scrolled to."""
    browser.execute_script("document.getElementById(arguments[0]).click()", name)


def saved(browser: Any, link: Any) -> Path:
    """What a link downloads."""
    path = browser.home / link.get_attribute("download")
    path.unlink(missing_ok=True)
    browser.execute_script("arguments[0].click()", link)
    until(path.exists)
    return path


def problem(browser: Any) -> str:
    """What the page says is wrong, when it does."""
    until(lambda: one(browser, "#problem").is_displayed())
    return str(one(browser, "#problem").text)


def texts(elements: list[Any]) -> list[str]:
    return [element.text for element in elements]


def faults(browser: Any) -> list[Any]:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
