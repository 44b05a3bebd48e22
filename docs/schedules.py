"""docs/pictures/schedules.svg: alpha, sigma and log-SNR of every registered schedule, one panel each."""

from pathlib import Path

import torch
from torch import Tensor

from pellucid.schedules import schedules
from pellucid.schedules.schedule import Schedule

OUT = Path(__file__).parent / "pictures" / "schedules.svg"
COLUMNS, WIDTH, HEIGHT, GAP, TOP, LEFT = 5, 150, 110, 26, 62, 30
LIMIT = 20.0
"""Log-SNR is drawn between -LIMIT and LIMIT."""
STYLE = """text { font: 12px system-ui, sans-serif; fill: #555 } .name { font-weight: 600; fill: #1b1d21 }
rect { fill: #fdfdfc } .frame { fill: none; stroke: #ccc } .zero { stroke: #ddd }
path { fill: none; stroke-width: 2 } .alpha { stroke: #1f6f78 } .sigma { stroke: #b4572f } .snr { stroke: #8d7c5e;
stroke-dasharray: 4 3 }"""
LEGEND = (("alpha", "alpha / largest"), ("sigma", "sigma / largest"), ("snr", f"log-SNR, from {LIMIT:.0f} to -{LIMIT:.0f}"))


def main() -> None:
    made = {name: schedules[name].example() for name in schedules}
    panels = [_panel(name, schedule, i % COLUMNS, i // COLUMNS) for i, (name, schedule) in enumerate(made.items())]
    width = LEFT * 2 + COLUMNS * WIDTH + (COLUMNS - 1) * GAP
    height = TOP + -(-len(made) // COLUMNS) * (HEIGHT + GAP + 18) + 8
    legend = "".join(
        f'<path class="{kind}" d="M{LEFT + 190 * i} 20h24"/><text x="{LEFT + 30 + 190 * i}" y="24">{words}</text>'
        for i, (kind, words) in enumerate(LEGEND)
    )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%"/>{legend}{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )


def _panel(name: str, schedule: Schedule, column: int, row: int) -> str:
    """Curves over t from 0, data, at the left to 1, noise, at the right."""
    left, top = LEFT + column * (WIDTH + GAP), TOP + row * (HEIGHT + GAP + 18)
    t = torch.linspace(0, 1, 121, dtype=torch.float64)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    level = (schedule.log_snr(t).clamp(-LIMIT, LIMIT) + LIMIT) / (2 * LIMIT)
    curves = {"snr": level, "alpha": alpha / alpha.max(), "sigma": sigma / sigma.max()}
    drawn = "".join(f'<path class="{kind}" d="{_path(t, y)}"/>' for kind, y in curves.items())
    return (
        f'<g transform="translate({left} {top})"><text class="name" x="0" y="-7">{name}</text>'
        f'<path class="zero" d="M0 {HEIGHT / 2}h{WIDTH}"/><rect class="frame" width="{WIDTH}" height="{HEIGHT}"/>{drawn}'
        f'<text x="0" y="{HEIGHT + 14}">0</text><text x="{WIDTH / 2}" y="{HEIGHT + 14}" text-anchor="middle">t</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">1</text></g>'
    )


def _path(t: Tensor, y: Tensor) -> str:
    points = (f"{WIDTH * float(a):.1f} {HEIGHT * (1 - float(b)):.1f}" for a, b in zip(t, y, strict=True))
    return "M" + "L".join(points)


if __name__ == "__main__":
    main()
