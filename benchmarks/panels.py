"""Charts of a record, one below the other, as one SVG file."""

from collections.abc import Mapping, Sequence

from pellucid.evaluation.chart import HEIGHT, WIDTH, Series, plot
from pellucid.evaluation.markup import join, tag

STYLE = """text { font: 13px system-ui, sans-serif; fill: #555 } .name { font-weight: 600; fill: #1b1d21 }
rect { fill: #fdfdfc } path { fill: none; stroke-linejoin: round } .grid { stroke: #ddd } .base { stroke: #999 }
.line { stroke: #1f6f78; stroke-width: 2 } .early { stroke: #1f6f78; stroke-width: 2; opacity: 0.45 }
.floor { stroke: #b3541e; stroke-width: 2; stroke-dasharray: 5 4 }"""
TOP = 30
"""Pixels above each panel, for its name."""


def stacked(charts: Mapping[str, tuple[Sequence[Series], bool]], *, x_label: str) -> str:
    """Name of each chart -> its curves and whether y is logarithmic."""
    panels = [
        join(
            tag("text", name, class_="name", x=56, y=(TOP + HEIGHT) * row + 20),
            plot(series, title=name, x_label=x_label, log_y=log, y=(TOP + HEIGHT) * row + TOP, height=HEIGHT),
        )
        for row, (name, (series, log)) in enumerate(charts.items())
    ]
    size = {"viewBox": f"0 0 {WIDTH} {len(charts) * (TOP + HEIGHT)}", "width": WIDTH}
    background = tag("rect", width="100%", height="100%")
    return tag("svg", tag("style", STYLE), background, *panels, xmlns="http://www.w3.org/2000/svg", **size)
