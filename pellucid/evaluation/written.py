"""How samples of text read beside real ones: as varied, no more repetitive, and not copied."""

import numpy as np

from pellucid.evaluation.source import Source
from pellucid.metrics import writing_figures
from pellucid.metrics.result import Result
from pellucid.metrics.writing import Tokens, mean_of
from pellucid.model.samples import Samples


def written(source: Source, samples: Samples, seed: int) -> dict[str, Result]:
    """Every figure of writing, by name, with that of as many real texts, each against all others, as its floor."""
    ids, own = source.choose(len(samples), seed), source.modality.sourced
    data: Tokens = np.asarray(source.pack.samples[:, 0, own:], dtype=np.int64)
    ours = samples.data[:, 0, own:].numpy()
    return {
        name: mean_of(figure(ours, data), figure(data[ids], data, ids)) for name, figure in writing_figures.items()
    }
