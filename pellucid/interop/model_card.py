"""The card of an exported model: what it is, how it is run, what it was trained on, how good it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pellucid.conditioners.reader import Reader
from pellucid.interop.onnx_loop import graphic
from pellucid.interop.onnx_step import takes
from pellucid.model.model import Model

LIBRARIES = ("pellucid", "torch", "onnx", "onnxruntime", "diffusers", "transformers", "numpy")
KINDS = {
    "image": "pictures", "series": "time series", "sound": "sounds", "video": "films", "scan": "medical images",
    "text": "texts", "joint": "things of several parts at once",
}  # fmt: skip
"""What a model makes, by the name of its kind of data."""
RANGES = {
    **dict.fromkeys(("image", "video"), "values in [-1, 1], as files have them 127.5 (x + 1)"), "sound": "values in [-1, 1]",
    "text": "numbers of tokens",
}  # fmt: skip
"""Of samples, where it is always the same."""
PARTS = ("network", "denoiser", "process", "schedule", "codec")
MOST_LABELS = 200


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What the model itself does not know of its training.

    Attributes:
        name: of the model, as the user gave it.
        quality: what was measured of it, a sentence each.
        terms: the licence and credit of its data, as found beside it.
    """

    name: str
    quality: Sequence[str] = ()
    terms: str = ""


def card(model: Model, origin: Origin, form: str, sections: Mapping[str, str]) -> str:
    """The text, in Markdown: `sections` say how it is run, the rest comes from the model."""
    shape = " x ".join(map(str, model.facts.shape))
    kind = KINDS.get(str(model.config.modality.get("name")), "samples")
    what = f"A diffusion model of {kind}, {shape} ({model.modality.axes}), exported by pellucid as {form} on {date.today()}."
    parts = {
        **sections, **_conditions(model), "Training": _training(model), "Quality": _quality(model, origin),
        "Licence": _terms(model, origin), "Versions": _versions(),
    }  # fmt: skip
    told = [f"## {title}\n\n{text}" for title, text in parts.items() if text]
    return "\n\n".join([f"# {origin.name}", what, *told]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def facts(model: Model) -> str:
    """Everything that is known of the model but its weights, as JSON."""
    known = {"config": model.config.model_dump(), "facts": model.facts.model_dump(), "card": model.card}
    return json.dumps(known, ensure_ascii=False, indent=1)


def _conditions(model: Model) -> dict[str, str]:
    """Labels by their numbers, and how captions become numbers."""
    found, labels = {}, model.facts.labels
    if labels:
        shown = ", ".join(f"{number} {name}" for number, name in enumerate(labels[:MOST_LABELS]))
        more = "" if len(labels) <= MOST_LABELS else f" and so on, {len(labels):,} in all"
        found["Labels"] = f"{shown}{more}; {len(labels)} asks for none."
    reader = model.conditioners.get("caption")
    if isinstance(reader, Reader):
        found["Captions"] = (
            f"At most {reader.length} {reader.unit} are read. With pellucid installed, any prompt becomes an entry by "
            f"`pellucid.load(MODEL).conditioners[\"caption\"].parse(\"a red heart\", 1).numpy()`; no words ask for nothing."
        )
    if "given" in model.conditioners and not takes(model.denoiser, "given"):
        found["Given parts"] = "Not in these files: the denoiser solves equations with them, which is no graph."
    return found


def _training(model: Model) -> str:
    """Data, samples seen, time."""
    known = model.card
    told = {
        "data": known.get("data_source") or ("not known" if "data_count" not in known else ""),
        "samples in the data": known.get("data_count"), "samples seen": known.get("samples_seen"),
        "minutes": known.get("minutes"), "seed": known.get("seed"), "pipeline": known.get("pipeline"),
        "left out": ", ".join(known.get("left_out", ())),
    }  # fmt: skip
    told |= {f"{part}, {name.replace('_', ' ')}": value for part in ("codec", "reading")
             for name, value in (known.get(part) or {}).items()}  # fmt: skip
    rows = [[name, f"{value:,}" if isinstance(value, int) else str(value)] for name, value in told.items()
            if value not in (None, "")]  # fmt: skip
    parts = ", ".join(f"{part} {getattr(model.config, part)['name']}" for part in PARTS)
    size = sum(value.numel() for module in model.parts().values() for value in module.parameters())
    return f"{table(['', ''], rows)}\n\nMade of: {parts}; {size / 1e6:.2f}M parameters."


def _quality(model: Model, origin: Origin) -> str:
    """What was measured, with N and interval."""
    lines = [*origin.quality]
    if curve := model.card.get("curve"):
        best = min(curve["points"], key=lambda point: float(point["value"]))
        lines.append(f"{curve['metric']} {best['value']:.3g}, 95% interval {best['low']:.3g} to {best['high']:.3g}, in "
                     f"{best['calls']} network calls, N = {curve['n']:,} (the best of what was tried)")  # fmt: skip
    return "\n".join(f"- {line}" for line in lines) or "Not measured, or not known to this file."


def _terms(model: Model, origin: Origin) -> str:
    """Of the data that it was trained on."""
    return origin.terms or str(model.card.get("data_source", "")) or (
        "Of the data that it was trained on nothing is known here: whoever passes the model on has to know its terms."
    )


def _versions() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def end_rows(ends: Mapping[str, tuple[str, str]], meanings: Mapping[str, str], which: str) -> list[list[str]]:
    """Rows of a table of inputs or outputs: which, name, shape, type, meaning."""
    return [[which, f"`{name}`", shape, kind, meanings.get(name, "")] for name, (shape, kind) in ends.items()]


def ranges(model: Model) -> str:
    """What values of samples mean."""
    if type(graphic(model.codec)) is not type(model.codec):
        kind = model.config.codec["name"]
        return f"what the codec '{kind}' makes of data; with pellucid: model.codec.decode(torch.from_numpy(samples))"
    name = str(model.config.modality.get("name"))
    more: Any = {"series": "each column less its centre, over its spread (model.json, facts.modality)"}.get(name)
    return RANGES.get(name) or more or "values of about unit size (model.json, facts.modality)"
