"""The page of every kind of model but those of pictures: heard, plotted, played, read, and gone on with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browsing import NEEDED, chromium, faults, find, made, one, opened, press, problem, put, saved, texts, until
from served import serving
from served_kinds import model_of

pytest.importorskip("selenium.webdriver")
pytestmark = NEEDED


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


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
