"""Samplers against independent oracles: transcriptions of the papers in float64, and diffusers' own trajectories.

Same noise, same network (the exact denoiser of a Gaussian mixture), same grid, every state of the trajectory compared.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.denoisers.denoiser import Denoiser
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.ancestral import Ancestral
from pellucid.samplers.consistency import Consistency
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolver, DPMSolverSDE
from pellucid.samplers.grid import TableGrid
from pellucid.samplers.ipndm import IPNDM
from pellucid.samplers.runge_kutta import Euler, Heun
from pellucid.samplers.sampler import Sampler
from pellucid.samplers.unipc import UniPC
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.table import Table
from reference import ancestral, edm, exponential
from reference.case import BATCH, Case, times
from reference.levels import Array, slopes
from reference.networks import ConsistencyModel, Given, network

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
STEPS = (1, 2, 3, 5, 10, 21)
SCHEDULES: dict[str, Schedule] = {
    "table": Table.from_betas(),
    "zero": Table.from_betas("scaled_linear", start=0.00085, end=0.012, zero_terminal_snr=True),
    "linear": Linear(),
    "edm": EDM(),
    "rectified": Rectified(),
}
Oracle = Callable[[Case], list[Array]]


def trajectory(
    sampler: Sampler, denoiser: Denoiser, grid: Tensor, x: Tensor, z: Sequence[Array | Tensor] = ()
) -> list[Array]:
    """The sampler's state after each step."""
    states: list[Array] = []
    sampler.sample(denoiser, x, grid, draws=Given(z), callback=lambda now: states.append(now.x.numpy()))
    return states


def assert_same(ours: list[Array], theirs: Sequence[Array | Tensor], bound: float) -> None:
    """max |difference| / rms(x) at every step."""
    assert len(ours) == len(theirs)
    worst = [float(np.abs(a - np.asarray(b)).max() / np.sqrt(np.mean(a * a))) for a, b in zip(ours, theirs, strict=True)]
    assert bool(np.all(np.array(worst) <= bound)), f"after {len(ours)} steps: {worst}"


# The papers, float64 -------------------------------------------------------------------------------------------------------


def check(sampler: Sampler, oracle: Oracle, kind: str, t: Array) -> None:
    case, schedule = Case.at(kind, t), SCHEDULES[kind]
    denoiser = ConsistencyModel(Gaussian(schedule=schedule)) if sampler.needs == "sample" else network(schedule)
    ours = trajectory(sampler, denoiser, torch.from_numpy(t), torch.from_numpy(case.x), case.z)
    assert_same(ours, oracle(case), 1e-10)


def ipndm(p: Literal[1, 2, 3, 4]) -> tuple[Sampler, Oracle]:
    return IPNDM(history=p), lambda c: edm.ipndm(c.eps, c.alpha, c.sigma, c.x, p)


def unipc(p: Literal[1, 2, 3], b: Literal["bh1", "bh2"], corrector: bool) -> tuple[Sampler, Oracle]:
    sampler = UniPC(predictor_order=p, variant=b, corrector=corrector)
    return sampler, lambda c: exponential.unipc(c.D, c.alpha, c.sigma, c.x, p=p, B=b, corrector=corrector)


def churned(kind: type[Euler | Heun]) -> tuple[Sampler, Oracle]:
    sampler = kind(churn=4.0, churn_min=0.05, churn_max=50.0, noise_scale=1.007)
    return sampler, lambda c: c.edm(second_order=kind is Heun, churn=4.0, t_min=0.05, t_max=50.0, noise=1.007)


FROM_SIGNAL: dict[str, tuple[Sampler, Oracle]] = {  # the first level must have some signal left
    "ancestral": (Ancestral(), Case.ddpm),
    "ddim": (DDIM(), lambda c: c.ddim(0.0)),
    "ddim-half": (DDIM(eta=0.5), lambda c: c.ddim(0.5)),
    "ddim-one": (DDIM(eta=1.0), lambda c: c.ddim(1.0)),
    "euler": (Euler(), lambda c: c.edm(second_order=False)),
    "heun": (Heun(), lambda c: c.edm(second_order=True)),
    "euler-churn": churned(Euler),
    "heun-churn": churned(Heun),
    **{f"ipndm-{p}": ipndm(p) for p in (1, 2, 3, 4)},
}
FROM_NOISE: dict[str, tuple[Sampler, Oracle]] = {  # any first level
    "ddim-v": (DDIM(), Case.ddim_v),
    "dpmpp-1": (DPMSolver(order=1), Case.ddim_v),
    "dpmpp-2": (DPMSolver(), lambda c: exponential.dpm_solver_2m(c.D, c.alpha, c.sigma, c.x)),
    "dpmpp-3": (DPMSolver(order=3), lambda c: exponential.dpm_solver_3m(c.D, c.alpha, c.sigma, c.x)),
    "sde-1": (DPMSolverSDE(solver_order=1), lambda c: exponential.sde_dpm_solver_2m(c.D, c.alpha, c.sigma, c.x, c.z, 1)),
    "sde-2": (DPMSolverSDE(), lambda c: exponential.sde_dpm_solver_2m(c.D, c.alpha, c.sigma, c.x, c.z)),
    **{
        f"unipc-{p}-{b}{'' if corrector else '-alone'}": unipc(p, b, corrector)
        for p in (1, 2, 3) for b in ("bh1", "bh2") for corrector in (True, False)
    },
}


@pytest.mark.parametrize("kind", ["table", "linear", "edm", "rectified"])
@pytest.mark.parametrize("name", FROM_SIGNAL)
def test_equals_the_paper(name: str, kind: str) -> None:
    for steps in STEPS:
        check(*FROM_SIGNAL[name], kind, times(kind, steps, 0.999 if kind == "rectified" else 1.0))


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("name", FROM_NOISE)
def test_equals_the_paper_from_pure_noise(name: str, kind: str) -> None:
    """Zero terminal SNR included: "zero" and "rectified" start where alpha = 0."""
    for steps in STEPS:
        check(*FROM_NOISE[name], kind, times(kind, steps))


@pytest.mark.parametrize("kind", ["table", "linear", "edm"])
@pytest.mark.parametrize("name", {**FROM_SIGNAL, **FROM_NOISE})
def test_equals_the_paper_ending_at_a_noisy_level(name: str, kind: str) -> None:
    check(*{**FROM_SIGNAL, **FROM_NOISE}[name], kind, times(kind, 9)[:-1])


def test_consistency_equals_the_paper() -> None:
    for steps in STEPS:
        check(
            Consistency(),
            lambda c: ancestral.consistency(lambda x, tau: c.D(x, 1.0, tau), c.sigma[:-1], c.x, c.z),
            "edm",
            times("edm", steps),
        )


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("kind", ["linear", "edm"])
def test_runge_kutta_along_t_equals_edm_algorithm_1(kind: str, second_order: bool) -> None:
    def oracle(c: Case) -> list[Array]:
        d_s, d_sigma = slopes(kind, c.t)
        return edm.deterministic(c.D, c.t, c.alpha, d_s, c.sigma / c.alpha, d_sigma, c.x, second_order=second_order)

    check((Heun if second_order else Euler)(variable="t"), oracle, kind, times(kind, 9)[:-1])


@pytest.mark.parametrize("second_order", [False, True])
def test_runge_kutta_along_t_equals_rectified_flow(second_order: bool) -> None:
    sampler = (Heun if second_order else Euler)(variable="t")
    for steps in STEPS:
        check(sampler, lambda c: edm.flow(c.D, c.t, c.x, second_order=second_order), "rectified", times("rectified", steps))


# diffusers -----------------------------------------------------------------------------------------------------------------

STABLE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
"""Stable Diffusion's table, where 1 / alpha is at most 15. DDPM's reaches 157 and takes diffusers' float32 to near 1e-4."""
PREDICT: dict[str, Callable[..., Tensor]] = {
    "epsilon": lambda x, x0, alpha, sigma: (x - alpha * x0) / sigma,
    "sample": lambda x, x0, alpha, sigma: x0,  # noqa: ARG005
    "v_prediction": lambda x, x0, alpha, sigma: alpha * (x - alpha * x0) / sigma - sigma * x0,
    "flow_prediction": lambda x, x0, alpha, sigma: (x - alpha * x0) / sigma - x0,
}


def table(peer: Any) -> Table:
    """The peer's own table, to the last bit of its float32."""
    return Table(alphas_cumprod=tuple(peer.alphas_cumprod.double().tolist()))


def run(peer: Any, schedule: Schedule, grid: Tensor, x: Tensor, exploding: bool = False, **options: Any) -> list[Tensor]:
    """The peer's states; `exploding` if it keeps x / alpha. An option that is a list has one entry for each step."""
    denoise, states = network(schedule), []
    alpha, sigma = schedule.alpha(grid), schedule.sigma(grid)
    scale = alpha if exploding else torch.ones_like(alpha)
    x = x / scale[0]
    for i, k in enumerate(peer.timesteps):
        x_t = x.double() * scale[i]
        output = PREDICT[peer.config.prediction_type](x_t, denoise(x_t, grid[i]).mean, alpha[i], sigma[i])
        extra = {name: value[i] if isinstance(value, list) else value for name, value in options.items()}
        x = peer.step(output, k, x, **extra).prev_sample
        states.append(x.double() * scale[i + 1])
    return states


def normals(count: int, seed: int = 3) -> list[Tensor]:
    """What a peer that draws count times from a generator of this seed gets."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, 2, generator=generator, dtype=torch.float64) for _ in range(count)]


def start(schedule: Schedule, t: Tensor) -> Tensor:
    data, eps = normals(2, seed=1)
    return schedule.alpha(t) * data + schedule.sigma(t) * eps


def compare(sampler: Sampler, peer: Any, schedule: Schedule, grid: Tensor, **options: Any) -> None:
    x, z = start(schedule, grid[0]), options.get("variance_noise") or normals(len(grid) - 1)
    assert_same(trajectory(sampler, network(schedule), grid, x, z), run(peer, schedule, grid, x, **options), 1e-4)


def table_times(peer: Any, end: float = 0.0) -> Tensor:
    return torch.cat([(peer.timesteps.double() + 1) / len(peer.alphas_cumprod), torch.tensor([end], dtype=torch.float64)])


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_ancestral_equals_diffusers(spacing: str, prediction: str) -> None:
    betas = STABLE if prediction == "epsilon" else {}
    for steps in STEPS:
        peer = diffusers.DDPMScheduler(clip_sample=False, timestep_spacing=spacing, prediction_type=prediction, **betas)
        peer.set_timesteps(steps)
        generator = torch.Generator().manual_seed(3)
        compare(Ancestral(), peer, table(peer), table_times(peer), generator=generator)


def test_ancestral_equals_diffusers_on_the_full_table() -> None:
    peer = diffusers.DDPMScheduler(num_train_timesteps=100, beta_end=0.2, clip_sample=False)
    peer.set_timesteps(100)
    compare(Ancestral(), peer, table(peer), table_times(peer), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("to_one", [True, False])
@pytest.mark.parametrize(
    ("spacing", "offset", "every"), [("leading", 0, STEPS), ("leading", 1, STEPS), ("trailing", 0, (1, 2, 5, 10, 20))]
)
def test_ddim_equals_diffusers(spacing: Any, offset: int, every: Sequence[int], to_one: bool, eta: float) -> None:
    """Trailing only where steps divide the table: elsewhere diffusers steps beside its own grid."""
    peer = diffusers.DDIMScheduler(
        clip_sample=False, timestep_spacing=spacing, steps_offset=offset, set_alpha_to_one=to_one,
        prediction_type="v_prediction",
    )
    for steps in every:
        peer.set_timesteps(steps)
        grid = TableGrid(spacing=spacing, offset=offset)(table(peer), steps)
        grid[-1] = 0.0 if to_one else 1e-3
        compare(DDIM(eta=eta), peer, table(peer), grid, eta=eta, variance_noise=normals(steps))


def test_ddim_equals_diffusers_at_zero_terminal_snr() -> None:
    peer = diffusers.DDIMScheduler(
        clip_sample=False, timestep_spacing="trailing", rescale_betas_zero_snr=True, prediction_type="v_prediction"
    )
    assert table(peer).zero_terminal_snr
    for steps in (1, 2, 5, 10, 20):
        peer.set_timesteps(steps)
        compare(DDIM(), peer, table(peer), TableGrid(spacing="trailing")(table(peer), steps))


def sigma_times(peer: Any, schedule: Schedule) -> Tensor:
    """The peer's noise levels as times; under a flow they are times."""
    return peer.sigmas.double() if isinstance(schedule, Rectified) else schedule.time_at_ratio(peer.sigmas)


SIGMAS: list[dict[str, Any]] = [
    {**STABLE, "timestep_spacing": "linspace", "prediction_type": "sample"},
    {**STABLE, "timestep_spacing": "leading", "steps_offset": 1},
    {**STABLE, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    {**STABLE, "use_karras_sigmas": True},
]


@pytest.mark.parametrize("options", [*SIGMAS, {**STABLE, "timestep_spacing": "trailing", "final_sigmas_type": "sigma_min"}])
def test_euler_equals_diffusers(options: dict[str, Any]) -> None:
    for steps in STEPS:
        peer = diffusers.EulerDiscreteScheduler(**options)
        peer.set_timesteps(steps)
        peer.is_scale_input_called = True  # the network here takes x_t itself
        schedule = table(peer)
        compare(Euler(), peer, schedule, sigma_times(peer, schedule), exploding=True)


@pytest.mark.parametrize("options", SIGMAS)
def test_heun_equals_diffusers(options: dict[str, Any]) -> None:
    for steps in STEPS:
        peer = diffusers.HeunDiscreteScheduler(**options)
        peer.set_timesteps(steps)
        schedule = table(peer)
        twice = sigma_times(peer, schedule)  # t_0, t_1, t_1, t_2, t_2 .. 0
        x = start(schedule, twice[0])
        ours = trajectory(Heun(), network(schedule), torch.cat([twice[:1], twice[1::2]]), x)
        theirs = run(peer, schedule, twice, x, exploding=True)
        assert_same(ours, [*theirs[1::2], theirs[-1]], 1e-4)


FLOW: dict[str, Any] = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
ZERO: dict[str, Any] = {
    "rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction", **STABLE
}
LEVELS: list[dict[str, Any]] = [
    *SIGMAS, FLOW, {**FLOW, "flow_shift": 3.0}, ZERO,
    {"prediction_type": "v_prediction", "final_sigmas_type": "sigma_min", "lower_order_final": False},
]


@pytest.mark.parametrize("options", LEVELS)
@pytest.mark.parametrize("kind", ["dpmsolver++-1", "dpmsolver++-2", "sde-dpmsolver++-1", "sde-dpmsolver++-2"])
def test_dpm_solver_equals_diffusers(kind: str, options: dict[str, Any]) -> None:
    algorithm, order = kind[:-2], int(kind[-1])
    sampler = DPMSolverSDE(solver_order=order) if algorithm[0] == "s" else DPMSolver(order=order)  # type: ignore[arg-type]
    peer = diffusers.DPMSolverMultistepScheduler(algorithm_type=algorithm, solver_order=order, **options)
    schedule = Rectified() if "use_flow_sigmas" in options else table(peer)
    for steps in STEPS:
        peer.set_timesteps(steps)
        compare(sampler, peer, schedule, sigma_times(peer, schedule), variance_noise=normals(steps))


@pytest.mark.parametrize("options", LEVELS)
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_equals_diffusers(order: Any, variant: Any, options: dict[str, Any]) -> None:
    """With "bh1" the last level is a tenth of the one before: at sigma = 0 diffusers multiplies B(h) = h = inf by 0."""
    peer = diffusers.UniPCMultistepScheduler(solver_order=order, solver_type=variant, **options)
    schedule = Rectified() if "use_flow_sigmas" in options else table(peer)
    sampler = UniPC(predictor_order=order, variant=variant, lower_order_final=peer.config.lower_order_final)
    for steps in STEPS:
        peer.set_timesteps(steps)
        if variant == "bh1":
            peer.sigmas[-1] = peer.sigmas[-2] / 10
        compare(sampler, peer, schedule, sigma_times(peer, schedule))


@pytest.mark.parametrize("sampler", [Euler(variable="t"), DDIM(), DPMSolver(order=1)])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_first_order_samplers_equal_diffusers_flow_matching(sampler: Sampler, shift: float) -> None:
    peer = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    peer.register_to_config(prediction_type="flow_prediction")
    for steps in STEPS:
        peer.set_timesteps(steps)
        compare(sampler, peer, Rectified(), sigma_times(peer, Rectified()))
