"""A denoiser whose network predicts a combination of data and noise, by which it can be trained."""

from abc import abstractmethod

from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.prediction import Prediction


class Predicting(Denoiser):
    """x0 = c_skip x_t + c_out F, where F approximates a x0 + b eps; see `prediction.py`.

    Attributes:
        prediction: what F stands for.
        sigma_data: standard deviation of the clean data, for "edm", on a scale of 1.
        scale: of the clean data, broadcastable to it: x0 / scale is what a network works on.
    """

    prediction: Prediction
    sigma_data: float = 1.0
    scale: Tensor | float = 1.0

    @abstractmethod
    def predict(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Tensor:
        """F, the network's own prediction, of the shape of x_t; t (B,) or a scalar."""
