"""The page in a real browser, headless Chromium: what a person does there, and what comes of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pellucid.model.model import Model
from served import Served, serving, small_model

selenium = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,1100", "--lang=en",
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model(captions=True, labels=("round", "square"))


@pytest.fixture(scope="module")
def served(model: Model) -> Iterator[Served]:
    with serving(model) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home, options = tmp_path_factory.mktemp("chromium"), selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(home), "intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    found.home = home
    yield found
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


def made(browser: Any, count: int) -> list[Any]:
    until(lambda: len(find(browser, "#shown figure img")) == count and not one(browser, "#waiting").is_displayed())
    assert not one(browser, "#problem").is_displayed(), one(browser, "#problem").text
    return find(browser, "#shown figure img")


def faults(browser: Any) -> list[Any]:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_from_a_prompt_to_a_file(browser: Any, served: Served) -> None:
    """Type a prompt, see pictures, move the slider from noise to picture and back, download one."""
    opened(browser, served)
    one(browser, "#prompt").send_keys("a red circle")
    put(browser, "n", 2)
    put(browser, "steps", 5)
    one(browser, "#make").click()
    pictures = made(browser, 2)
    assert all(browser.execute_script("return arguments[0].naturalWidth", picture) == 8 for picture in pictures)
    last = [picture.get_attribute("src") for picture in pictures]
    put(browser, "journey-slider", 0)
    assert one(browser, "#journey-step").text == "0 / 5"
    noise = [picture.get_attribute("src") for picture in pictures]
    assert all(first != end for first, end in zip(noise, last, strict=True))
    one(browser, "#journey-play").click()
    until(lambda: one(browser, "#journey-step").text == "5 / 5")
    assert [picture.get_attribute("src") for picture in pictures] == last
    find(browser, "#shown figcaption a")[0].click()
    until(lambda: (browser.home / "000000.png").exists())
    assert pixels(browser.home / "000000.png").shape == (8, 8, 3)
    assert not faults(browser)


def test_the_seed_is_what_decides(browser: Any, served: Served) -> None:
    opened(browser, served)
    put(browser, "n", 1)
    sources = []
    for seed in (3, 4, 3):
        put(browser, "seed", seed)
        browser.execute_script("document.getElementById('shown').replaceChildren()")
        one(browser, "#make").click()
        sources.append(made(browser, 1)[0].get_attribute("src"))
    assert sources[0] == sources[2] != sources[1]


def test_a_painted_part_is_made_new(browser: Any, served: Served, tmp_path: Path) -> None:
    """And all else is kept, to the last bit."""
    before = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Pillow.fromarray(before).save(tmp_path / "in.png")
    opened(browser, served)
    one(browser, "#picture").send_keys(str(tmp_path / "in.png"))
    until(lambda: one(browser, "#fill").is_enabled())
    easel = one(browser, "#easel")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", easel)
    put(browser, "brush", 40)
    side = easel.size["width"]
    hand = selenium.ActionChains(browser).move_to_element_with_offset(easel, -side // 4, -side // 4)
    hand.click_and_hold().move_by_offset(side // 8, 0).release().perform()
    one(browser, "#fill").click()
    until(lambda: len(find(browser, "#edited figure img")) == 1)
    one(browser, "#edited figcaption a").click()
    until(lambda: (browser.home / "Fill-in.png").exists())
    new = (pixels(browser.home / "Fill-in.png") != before).any(2)
    assert new[:4, :4].any()
    assert not new[4:].any()
    assert not new[:, 5:].any()
    one(browser, "#compare-strength").click()
    until(lambda: len(find(browser, "#edited figure img")) == 4)
    assert not faults(browser)


def test_side_by_side_and_in_chinese(browser: Any, served: Served) -> None:
    opened(browser, served)
    one(browser, "#prompt").send_keys("a red circle")
    one(browser, "#language").click()
    assert one(browser, "#make").text == "生成"
    assert one(browser, "#language").text == "English"
    one(browser, "#compare-guidance").click()
    made(browser, 4)
    assert [caption.text for caption in find(browser, "#shown figcaption span")] == [f"引导 {w}" for w in (1, 2, 4, 8)]
    assert not faults(browser)


def test_errors_are_told_and_words_are_no_markup(browser: Any, served: Served) -> None:
    opened(browser, served)
    put(browser, "prompt", "(red:99999) <img src=x onerror=alert(1)>")
    one(browser, "#make").click()
    until(lambda: one(browser, "#problem").is_displayed())
    assert "99999" in one(browser, "#problem").text
    assert not find(browser, "#problem img")


def test_it_fits_a_phone(browser: Any, served: Served) -> None:
    """Nothing is wider than the screen."""
    size = browser.get_window_size()
    try:
        browser.set_window_size(500, 900)
        opened(browser, served)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        browser.set_window_size(size["width"], size["height"])
