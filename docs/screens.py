"""docs/pictures/page-*.webp: the web page at work, in headless Chromium.

    python docs/screens.py pictures=emoji sound=runs/notes text=runs/king-james series=runs/stocks --table history.csv

Each scene is a model, what a person does on its page, and how the page looks. The name of the model is that of its folder.
"""

import argparse
import asyncio
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.parse import urlencode

import uvicorn
from PIL import Image
from selenium import webdriver

from pellucid.interop.load import load
from pellucid.serving.app import application
from pellucid.serving.service import Service

OUT = Path(__file__).parent / "pictures"
WIDTH, PHONE = 1160, 390
QUALITY, EDGE = 82, 16
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is asked for in the page's address, and done after it has come.

    Attributes:
        share: of the way from noise at which the slider stands.
        act: called with the browser and the table.
        top: what of the page is in the picture.
    """

    asked: dict[str, Any]
    share: float = 1.0
    act: Callable[[Any, Path | None], None] | None = None
    dark: bool = False
    language: str = "en"
    width: int = WIDTH
    top: str = "header, #asking, #result"


def edited(browser: Any, _: Path | None) -> None:
    """The first picture, made ever more into something else."""
    browser.execute_script("document.querySelector('#shown figcaption button').click()")
    waited(browser, "return !document.getElementById('fill').disabled")
    put(browser, "prompt", "a green apple")
    pressed(browser, "compare-strength")
    waited(browser, "return document.querySelectorAll('#edited figure').length === 4")


def forecast(browser: Any, table: Path | None) -> None:
    """What comes after the rows of a table."""
    browser.find_element("id", "begun").send_keys(str(table))
    waited(browser, "return !document.getElementById('continue').disabled")
    put(browser, "more", 20)
    pressed(browser, "continue")
    waited(browser, "return Boolean(document.querySelector('#continued figure'))")


SCENES = {
    "pictures": Scene(asked={"prompt": "a blue butterfly", "n": 8, "seed": 1}, share=0.65),
    "edit": Scene(asked={"prompt": "a red heart", "n": 4, "seed": 0}, act=edited, top="#editing"),
    "chinese": Scene(asked={"prompt": "向日葵", "n": 4, "seed": 1}, share=0.65, dark=True, language="zh-CN", width=PHONE),
    "sound": Scene(asked={"label": "guitar-C4", "guidance": 2, "n": 4, "seed": 2}),
    "text": Scene(asked={"prompt": "And the king said", "n": 2, "seed": 0}, share=0.6, dark=True),
    "series": Scene(asked={}, act=forecast, top="#completing"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", metavar="SCENE=MODEL", help=", ".join(SCENES))
    parser.add_argument("--table", type=Path, help="for the scene series: a table that its model goes on from")
    args = parser.parse_args()
    for name, model in (one.split("=", 1) for one in args.scenes):
        with served(Path(model)) as address, opened(SCENES[name]) as browser:
            play(browser, address, SCENES[name], args.table)
            taken(browser, OUT / f"page-{name}.webp", SCENES[name])


def play(browser: Any, address: str, scene: Scene, table: Path | None) -> None:
    """Has made what is asked for, and what comes after."""
    browser.get(f"{address}/page/index.html" + (f"#{urlencode(scene.asked)}" if scene.asked else ""))
    waited(browser, "return document.getElementById('about').textContent !== ''")
    if scene.asked:
        waited(browser, "return Boolean(document.querySelector('#shown figure'))")
        last = int(browser.find_element("id", "journey-slider").get_attribute("max"))
        put(browser, "journey-slider", round(scene.share * last))
    if scene.act:
        scene.act(browser, table)
    waited(browser, "return document.getElementById('waiting').hidden")
    if problem := browser.find_element("id", "problem").text:
        sys.exit(problem)
    sleep(1)  # sounds are read, pictures decoded


def put(browser: Any, name: str, value: Any) -> None:
    browser.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}));", name, value
    )  # fmt: skip


def pressed(browser: Any, name: str) -> None:
    browser.execute_script("document.getElementById(arguments[0]).click()", name)


def waited(browser: Any, script: str, seconds: float = 300) -> None:
    for _ in range(int(10 * seconds)):
        if browser.execute_script(script):
            return
        sleep(0.1)
    sys.exit(f"{script}: not within {seconds:g} s")


def taken(browser: Any, path: Path, scene: Scene) -> None:
    """What the scene is about, in a window that is high enough for nothing to be scrolled."""
    seen(browser, scene.width, 2000)
    browser.execute_script("window.scrollTo(0, 0)")
    sleep(0.5)
    top, bottom = browser.execute_script(
        "const edges = [...document.querySelectorAll(arguments[0])].map((one) => one.getBoundingClientRect());"
        "return [Math.min(...edges.map((one) => one.top)), Math.max(...edges.map((one) => one.bottom))];", scene.top
    )  # fmt: skip
    picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.crop((0, max(0, int(top) - EDGE), scene.width, int(bottom) + EDGE)).save(path, quality=QUALITY, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def seen(browser: Any, width: int, height: int) -> None:
    view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)


@contextmanager
def opened(scene: Scene) -> Iterator[Any]:
    """A browser as the scene has it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": scene.language})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    seen(browser, scene.width, 900)
    colours = {"name": "prefers-color-scheme", "value": "dark" if scene.dark else "light"}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [colours, still]})
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def served(model: Path) -> Iterator[str]:
    """The address of a server of a model, ended with the block."""
    service = Service(load(model), model.name, rows=8)
    server = uvicorn.Server(uvicorn.Config(application(service), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


if __name__ == "__main__":
    main()
