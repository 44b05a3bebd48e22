"""The page in a real browser, headless Chromium: what a person does there, and what comes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image as Pillow

from browsing import NEEDED, chromium, faults, find, made, one, opened, pixels, press, problem, put, texts, until
from pellucid.model.model import Model
from pellucid.serving.batcher import FullError
from served import Served, serving, small_model

selenium = pytest.importorskip("selenium.webdriver")
pytestmark = NEEDED


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model(captions=True, labels=("round", "square"))


@pytest.fixture(scope="module")
def served(model: Model) -> Iterator[Served]:
    with serving(model) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


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
    assert "99999" in problem(browser)
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


def test_names_of_labels_and_files_are_no_markup(browser: Any, tmp_path: Path) -> None:
    """Nor what stands in an address that somebody passed on, from which the page makes the same again."""
    name, bad = "<img src=x onerror=alert(1)>", tmp_path / "<img src=x onerror=alert(1)>.png"
    bad.write_bytes(b"no picture")
    with serving(small_model(captions=True, labels=(name, "square"))) as served:
        browser.get_log("browser")
        kept = urlencode({"n": 2, "seed": 5, "prompt": "<img src=x>", "label": name})
        browser.get(f"{served.address}/page/index.html#{kept}")
        made(browser, 2)
        assert texts(find(browser, "#shown figcaption span")) == [name, name]
        assert one(browser, "#prompt").get_attribute("value") == "<img src=x>"
        one(browser, "#picture").send_keys(str(bad))
        assert "cannot be opened" in problem(browser)
        assert len(find(browser, "main img:not([src^=data])")) == 1  # the page's own
    assert not faults(browser)


def test_noise_becomes_data_by_itself(browser: Any, served: Served) -> None:
    """Once, unless the user wants no motion."""
    motion = {"name": "prefers-reduced-motion"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{**motion, "value": "no-preference"}]})
    try:
        opened(browser, served)
        put(browser, "n", 1)
        put(browser, "steps", 10)
        press(browser, "make")
        seen = set()
        until(lambda: seen.add(one(browser, "#journey-step").text) or "10 / 10" in seen)
        until(lambda: seen.add(one(browser, "#journey-step").text) or len(seen) > 3)
        until(lambda: one(browser, "#journey-step").text == "10 / 10")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{**motion, "value": "reduce"}]})


def test_a_server_that_is_busy_or_gone(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is said in the page's language, and making works again when the server does."""

    def full(_: Any) -> None:
        raise FullError("9 samples are waiting, and 8 may")

    with serving(small_model()) as served:
        opened(browser, served)
        with monkeypatch.context() as patch:
            patch.setattr(served.service.batcher, "submit", full)
            press(browser, "make")
            assert problem(browser).startswith("Too much is waiting")
        press(browser, "make")
        made(browser, 4)
        one(browser, "#language").click()
    press(browser, "make")
    assert problem(browser) == "无法连接服务器，它还在运行吗？"
