"""Two hundred pictures of a style that the shipped model never saw: going on from it against starting from nothing.

    little.py prepare --pictures FOLDER --dir DIR [-n 200]
    little.py train   --dir DIR --model emoji --minutes 10
    little.py record  --dir DIR --out records/little-data.md

FOLDER has pictures named by their code points, such as `1f34e.webp`; the record's are Microsoft's Fluent emoji in 3D (MIT),
from the npm package @lobehub/fluent-emoji-3d. Captions are those that data/emoji has for the same emoji. `train` takes as
long for each of `whole` and `adapters` (`--from` with all weights, with rank 16) and `scratch`, the same parts from nothing,
the autoencoder included. All are measured against the pictures of the style that were left out, whose captions are also what
is asked for.
"""

import argparse
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from resume import machine

from pellucid.core.files import atomic_write
from pellucid.data.order import stream
from pellucid.evaluation.evaluate import evaluate
from pellucid.model.files import find_model, read_model
from pellucid.model.model import Model
from pellucid.training.train import train

EMOJI = Path(__file__).parents[1] / "data" / "emoji" / "emoji.zip"
SIDE = 64
WAYS = ("whole", "adapters", "scratch")
PARTS = ("network", "denoiser", "codec", "text")


def main() -> None:
    asked = _arguments()
    {"prepare": _prepare, "train": _train, "record": _record}[asked.command](asked)


def _prepare(asked: argparse.Namespace) -> None:
    """DIR/train with n pictures, DIR/held-out with the rest, each with its captions."""
    with zipfile.ZipFile(EMOJI) as archive:
        rows = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
    said = {_code(Path(row["file_name"]).stem): row["captions"] for row in rows if row["label"] == "noto"}
    files = {_code(path.stem): path for path in sorted(asked.pictures.iterdir())}
    codes = sorted(said.keys() & files.keys())
    codes = [codes[place] for place in stream(0, len(codes), 0, len(codes))]
    for name, some in (("train", codes[: asked.n]), ("held-out", codes[asked.n :])):
        folder = asked.dir / name
        folder.mkdir(parents=True, exist_ok=True)
        for code in some:
            with Pillow.open(files[code]) as opened:
                opened.convert("RGBA").resize((SIDE, SIDE), Pillow.Resampling.LANCZOS).save(folder / f"{code}.png")
        lines = [json.dumps({"file_name": f"{code}.png", "text": said[code]}, ensure_ascii=False) for code in some]
        (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
        print(f"{name}: {len(some):,} pictures")


def _code(stem: str) -> str:
    """Code points without the one that only asks for a picture."""
    return "-".join(part for part in stem.upper().split("-") if part != "FE0F")


def _train(asked: argparse.Namespace) -> None:
    found: dict[str, Any] = {"minutes": asked.minutes, "n": asked.n, "ways": {}}
    for way in asked.ways:
        out = asked.dir / way
        settings = ["training.ema=[0.05]", "training.evaluate=false"]
        if way == "scratch":
            settings += _parts(asked.model)
            model = train(asked.dir / "train", out, minutes=asked.minutes, settings=settings)
        else:
            settings += ["training.rank=16"] if way == "adapters" else []
            model = train(asked.dir / "train", out, start=asked.model, minutes=asked.minutes, settings=settings)
        found["ways"][way] = _measured(model, asked, out)
        print(way, json.dumps(found["ways"][way]), flush=True)
    found["ways"]["as it is"] = _measured(Model.load(find_model(Path(asked.model))), asked, asked.dir / "as-it-is")
    with atomic_write(asked.dir / "little.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _parts(model: str) -> list[str]:
    """Settings of a new model of the same parts."""
    config = read_model(Path(model))[0]
    chosen = [(part, key, value) for part in PARTS for key, value in getattr(config, part).items() if key != "sigma_data"]
    return [f"{part}.{key}={json.dumps(value)}" for part, key, value in chosen]


def _measured(model: Model, asked: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Against what was left out, and how close samples are to what was trained on; a sheet of samples."""
    new = evaluate(model, asked.dir / "held-out", n=asked.n, guidance=asked.guidance)
    old = evaluate(model, asked.dir / "train", n=asked.n, guidance=asked.guidance)
    out.mkdir(exist_ok=True)
    new.samples.save(out / "samples.png")
    kernel, closeness = new.metrics["kernel"], old.metrics["closeness"]
    return {
        "kernel": [kernel.value, kernel.low, kernel.high, kernel.floor], "closeness": [closeness.value, closeness.floor],
        "samples_seen": model.card["samples_seen"],
    }  # fmt: skip


def _record(asked: argparse.Namespace) -> None:
    found = json.loads((asked.dir / "little.json").read_text(encoding="utf-8"))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("\n".join(_lines(found)), encoding="utf-8")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "# Two hundred pictures of a new style"
    yield ""
    yield "What `--from` is worth: the shipped model of emoji went on with 200 of Microsoft's Fluent emoji in 3D, with all"
    yield f"weights or by adapters, and the same parts were trained from nothing, {found['minutes']:g} minutes each on one"
    yield "thread; `as it is` has not seen the style."
    yield ""
    yield "| | kernel distance to pictures left out | 95% | real | closeness to the 200 | real |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for way, one in found["ways"].items():
        (value, low, high, floor), (close, real) = one["kernel"], one["closeness"]
        yield f"| {way} | {value:.5f} | {low:.5f} to {high:.5f} | {floor:.5f} | {close:.2f} | {real:.2f} |"
    yield ""
    yield "Closeness: the share of samples as close to a training picture as one real picture in twenty is to another."
    yield ""
    yield "- commands: in the docstring of benchmarks/little.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()
    yield ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what going on from a model is worth on little data.")
    commands = parser.add_subparsers(dest="command", required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--dir", type=Path, required=True, help="where data and runs are kept")
    preparing = commands.add_parser("prepare", parents=[places], help="choose the pictures")
    preparing.add_argument("--pictures", type=Path, required=True)
    preparing.add_argument("-n", type=int, default=200)
    training = commands.add_parser("train", parents=[places], help="train and measure all ways")
    training.add_argument("--model", default="emoji")
    training.add_argument("--minutes", type=float, default=10.0)
    training.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    training.add_argument("-n", type=int, default=500, help="samples that are measured")
    training.add_argument("--guidance", type=float, default=1.0)
    recording = commands.add_parser("record", parents=[places], help="write the record")
    recording.add_argument("--out", type=Path, default=Path("records/little-data.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
