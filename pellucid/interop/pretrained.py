"""The denoiser around a U-Net of diffusers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner
from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.posterior import Mean
from pellucid.denoisers.predicting import Predicting
from pellucid.denoisers.prediction import Prediction, check_prediction, skip_and_out
from pellucid.interop.products import Products
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.table import Table


class Pretrained(Predicting):
    """D(x_t, t) = c_skip x_t + c_out F(x_t, k, cond), where k = T t - 1 is the time as the step of a table of T.

    Between the steps, where log-SNR is linear in t, k is a fraction. Computed in the precision of x_t but for F.

    Arguments:
        table: the levels that F was trained on.
        network: F, a `UNet2DModel` or `UNet2DConditionModel`.
        prediction: what F stands for.
        clip: the range that x0 is held within, None for any.
        whole: round k to the nearest step.
        conditioners: "caption", or none.
        size: (H, W) of the pictures, for a network that is told of it (SDXL).
    """

    offers: frozenset[str] = frozenset({"mean"})
    size: Tensor

    def __init__(
        self,
        *,
        table: Table,
        network: Any,
        prediction: Prediction = "eps",
        clip: float | None = None,
        whole: bool = False,
        conditioners: Mapping[str, Conditioner] | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(Gaussian(schedule=table), conditioners)
        check_prediction(prediction, table)
        self.table, self.network, self.prediction, self.clip, self.whole = table, network, prediction, clip, whole
        self.products = Products()
        self.register_buffer("size", torch.tensor([*size, 0, 0, *size]), persistent=False)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        t = torch.as_tensor(t, dtype=torch.float64).expand(x_t.shape[0])
        c_skip, c_out = skip_and_out(self.prediction, self.table, expand(t, x_t))
        x0 = c_skip.to(x_t) * x_t + c_out.to(x_t) * self.predict(x_t, t, cond)
        return Mean(x0 if self.clip is None else x0.clamp(-self.clip, self.clip))

    def null(self, cond: Cond) -> Cond:
        return {name: self.conditioner(name).null(value.shape[0]) for name, value in cond.items()}

    def predict(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64).expand(x_t.shape[0])
        k = (t * self.table.steps - 1).clamp_min(0)
        k = (k.round() if self.whole else k).to(x_t.device, torch.float32)
        with self.products:
            output: Tensor = self.network(x_t.to(self.network.dtype), k, **self._told(x_t, cond), return_dict=False)[0]
        return output[:, : x_t.shape[1]].to(x_t)  # a network that learned variances gives them after the prediction

    def _told(self, x_t: Tensor, cond: Cond | None) -> dict[str, Any]:
        """What the network is told by name: what the caption says, or an empty one."""
        if "caption" not in self.conditioners:
            return {}
        conditioner = self.conditioner("caption")
        vector, tokens, _ = conditioner((cond or {}).get("caption", conditioner.null(x_t.shape[0])))
        assert tokens is not None
        told: dict[str, Any] = {"encoder_hidden_states": tokens.to(x_t.device, self.network.dtype)}
        if vector.shape[1]:
            vector = vector.to(told["encoder_hidden_states"])
            told["added_cond_kwargs"] = {"text_embeds": vector, "time_ids": self.size.to(vector).expand(x_t.shape[0], -1)}
        return told
