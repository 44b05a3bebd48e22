"""A network as a denoiser knows it: what it is shown, what it stands for, and what it is told besides."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.frames import Frames
from pellucid.core.shapes import expand
from pellucid.denoisers.conditional import Conditional, together
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.preconditioning import Preconditioning, noise_level, scale_in
from pellucid.denoisers.predicting import Predicting
from pellucid.denoisers.prediction import Prediction, check_prediction, skip_and_out
from pellucid.denoisers.sketch import Sketch
from pellucid.networks.network import Network
from pellucid.processes.process import Process


class Parametric(Conditional, Predicting):
    """x0 = c_skip x_t + c_out F(c_in x_t, c_noise, cond), of which a subclass says what it means.

    Arguments:
        process: the corruption it undoes.
        network: F.
        conditioners: one for each entry of `cond`; their vectors are summed, their tokens stand side by side.
        prediction: what F stands for; see `prediction.py`.
        preconditioning: how input and noise level are scaled; see `preconditioning.py`.
        sigma_data: standard deviation of the clean data, for "edm".
        scales: sizes of the clean data at the places of its last axis, where they differ; a network sees each place as if it
            were of size 1 in so much more noise.
        sketch: what the words of cond["caption"] let expect; the network sees it, divided by sigma_data, in as many channels
            after those of x_t.
    """

    def __init__(
        self,
        *,
        process: Process,
        network: Network,
        conditioners: Mapping[str, Conditioner] | None = None,
        prediction: Prediction = "edm",
        preconditioning: Preconditioning = "edm",
        sigma_data: float = 0.5,
        scales: Tensor | None = None,
        sketch: Sketch | None = None,
    ) -> None:
        super().__init__(process, conditioners)
        check_prediction(prediction, process.schedule)
        self.network = network
        self.prediction = prediction
        self.preconditioning = preconditioning
        self.sigma_data = sigma_data
        self.scales = None if scales is None else scales.double()
        self.scale = 1.0 if self.scales is None else self.scales
        self.sketch = sketch

    def clean(self, x_t: Tensor, t: Tensor, cond: Cond | None = None, **beside: Tensor) -> Tensor:
        """x0 (B, C, *space) as the network's prediction gives it; `beside` as of `predict`."""
        t, known = _times(t, x_t), None
        if cond and "given" in cond and isinstance(frames := self.conditioner("given"), Frames):
            x_t, t, known = frames.force(cond["given"], x_t, t)
        sizes = self.sigma_data * self.scale, self.scale
        c_skip, c_out = skip_and_out(self.prediction, self.process.schedule, expand(t, x_t), *sizes)
        x0 = c_skip.to(x_t) * x_t + c_out.to(x_t) * self.predict(x_t, t, cond, **beside)
        return x0 if known is None else torch.where(known, x_t, x0)

    def predict(
        self, x_t: Tensor, t: Tensor, cond: Cond | None = None, *, seen: Tensor | None = None, told: Tensor | None = None
    ) -> Tensor:
        """F, the network's own prediction.

        Arguments:
            seen: what it sees in channels after those of x_t, (B, C', *space).
            told: a vector (B, width) that joins those of the conditions.
        """
        t = _times(t, x_t)
        c_in = scale_in(self.preconditioning, self.process.schedule, expand(t, x_t), self.sigma_data * self.scale)
        t = t if self.scales is None else expand(t, x_t)
        c_noise = noise_level(self.preconditioning, self.process.schedule, t, self.scales)
        shown, embedded = [c_in.to(x_t) * x_t], self.embedded(cond, x_t.shape[0])
        if seen is not None:
            shown.append(seen)
        if self.sketch is not None:
            shown.append(self.sketch(embedded["caption"].vector) / self.sigma_data)
        said = together(embedded, *([] if told is None else [told]))
        shown += [planes.to(x_t) for planes in said.planes]
        picture = torch.cat(shown, dim=1) if len(shown) > 1 else shown[0]
        output: Tensor = self.network(picture, c_noise.to(x_t), said.vector, said.tokens)
        return output


def _times(t: Tensor, x_t: Tensor) -> Tensor:
    t = torch.as_tensor(t, dtype=torch.float64)
    return t.expand(x_t.shape[0]) if t.ndim == 0 else t
