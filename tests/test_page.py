"""The page in a real browser, headless Chromium: what a person does there, and what comes of it."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image as Pillow

from chromium import CHROMIUM, DRIVER, chromium
from pellucid.model.model import Model
from pellucid.serving.batcher import FullError
from served import Served, serving, small_model
from served_kinds import model_of

selenium = pytest.importorskip("selenium.webdriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model(captions=True, labels=("round", "square"))


@pytest.fixture(scope="module")
def served(model: Model) -> Iterator[Served]:
    with serving(model) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(selenium, tmp_path_factory.mktemp("chromium")) as found:
        yield found


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


def test_sounds_are_seen_and_heard(browser: Any) -> None:
    with serving(model_of("sound")) as served:
        opened(browser, served)
        put(browser, "n", 2)
        press(browser, "make")
        players, pictures = made(browser, 2, "audio"), made(browser, 2, "img.spectrogram")
        until(lambda: all(browser.execute_script("return arguments[0].duration > 0", player) for player in players))
        last = [picture.get_attribute("src") for picture in pictures]
        put(browser, "journey-slider", 0)
        assert all(picture.get_attribute("src") not in last for picture in pictures)
        assert saved(browser, find(browser, "#shown figcaption a")[0]).read_bytes()[:4] == b"RIFF"
    assert not faults(browser)


def test_series_are_plotted_and_go_on(browser: Any, tmp_path: Path) -> None:
    """A line for each column; of a file that is sent, what comes next with a band; of a bad one, why not."""
    rows = [f"{at},{np.sin(at / 3):.4f},{10 + at}" for at in range(40)]
    (tmp_path / "past.csv").write_text("\n".join(["day,a,b", *rows]))
    (tmp_path / "bad.csv").write_text("day,c\n1,2\n2,3\n")
    with serving(model_of("series")) as served:
        opened(browser, served)
        put(browser, "n", 2)
        press(browser, "make")
        lines = made(browser, 4, ".line")
        assert [name.text for name in find(browser, "#shown .name")] == ["a", "b"] * 2
        last = [line.get_attribute("d") for line in lines]
        put(browser, "journey-slider", 0)
        assert all(line.get_attribute("d") != end for line, end in zip(lines, last, strict=True))
        one(browser, "#begun").send_keys(str(tmp_path / "past.csv"))
        put(browser, "more", 5)
        press(browser, "continue")
        assert all(band.get_attribute("d") for band in made(browser, 2, ".band", "#continued"))
        table = saved(browser, one(browser, "#continued figcaption a")).read_text().splitlines()
        assert (table[0], len(table)) == ("row,a,a q5,a q95,b,b q5,b q95", 6)
        one(browser, "#begun").send_keys(str(tmp_path / "bad.csv"))
        press(browser, "continue")
        assert "'bad.csv': no column 'a'" in problem(browser)
        assert "tmp" not in one(browser, "#problem").text
        one(browser, "#language").click()
        press(browser, "continue")
        until(lambda: "服务器无法处理" in problem(browser))


def test_films_by_their_frames(browser: Any) -> None:
    """A slider over the frames, at the end and on the way; a film that was made goes on."""

    def frame() -> str:
        return str(browser.execute_script("return document.querySelector('#shown canvas.film').toDataURL()"))

    with serving(model_of("video")) as served:
        opened(browser, served)
        put(browser, "n", 1)
        press(browser, "make")
        made(browser, 1, "canvas.film")
        slider = one(browser, "#shown input.frames")
        until(lambda: slider.get_attribute("max") == "2")
        first = frame()
        browser.execute_script("arguments[0].value = 2; arguments[0].dispatchEvent(new Event('input'))", slider)
        last = frame()
        put(browser, "journey-slider", 0)
        until(lambda: frame() != last)
        assert len({first, last, frame()}) == 3
        put(browser, "more", 4)
        find(browser, "#shown figcaption button")[0].click()
        until(lambda: one(browser, "#continue").is_enabled())
        press(browser, "continue")
        made(browser, 1, "canvas.film", "#continued")
        until(lambda: one(browser, "#continued input.frames").get_attribute("max") == "6")
    assert not faults(browser)


def test_words_are_unmasked(browser: Any) -> None:
    """Boxes at first, words at last; what is given stays, gaps are filled and marked."""
    with serving(model_of("text")) as served:
        opened(browser, served)
        put(browser, "n", 2)
        put(browser, "label", "wild")
        put(browser, "prompt", "ab")
        press(browser, "make")
        pages = made(browser, 2, ".written")
        assert all(page.text.startswith("ab") for page in pages)
        put(browser, "journey-slider", 0)
        assert len(find(browser, "#shown .written .hidden")) == 20
        assert texts(find(browser, "#shown figcaption span")) == ["1", "2"]
        put(browser, "draft", "a__b")
        press(browser, "impute")
        filled = made(browser, 1, ".written", "#continued")[0].text
        assert filled == "a" + "".join(texts(find(browser, "#continued mark"))) + "b"
        put(browser, "draft", "ab")
        put(browser, "more", 3)
        press(browser, "continue")
        until(lambda: made(browser, 1, ".written", "#continued")[0].text.startswith("ab"))
    assert not faults(browser)


def test_texts_from_texts(browser: Any) -> None:
    known = {"vocabulary": (" ", "a", "b", "c"), "source_length": 4}
    with serving(model_of("text", modality=known, labels=(), categories=7)) as served:
        opened(browser, served)
        put(browser, "n", 2)
        put(browser, "source", "abc")
        press(browser, "make")
        made(browser, 2, ".written")
        assert not one(browser, "#prompt").is_displayed()
    assert not faults(browser)


def test_several_parts_together_and_one_given(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with serving(model_of("joint")) as served:
        opened(browser, served)
        put(browser, "n", 2)
        one(browser, "#given input[name=text]").send_keys("cab")
        press(browser, "make")
        made(browser, 2, "audio")
        made(browser, 2, "img.parts")
        sound, text = find(browser, "#shown figure:last-child figcaption a")
        assert (saved(browser, sound).read_bytes()[:4], saved(browser, text).read_text()) == (b"RIFF", "cab\n")
        one(browser, "#given input[name=sound]").send_keys(str(tmp_path / "bad.wav"))
        press(browser, "make")
        assert "cannot be read as a sound" in problem(browser)


def test_volumes_as_slices(browser: Any) -> None:
    with serving(model_of("scan")) as served:
        opened(browser, served)
        put(browser, "n", 1)
        press(browser, "make")
        (slices,) = made(browser, 1)
        assert browser.execute_script("return arguments[0].naturalWidth", slices) % 8 == 0
        assert saved(browser, one(browser, "#shown figcaption a")).name == "000000.nii.gz"
    assert not faults(browser)


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
