"""Gabor models of receptive fields, fitted directly to responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn import functional as F

from freegaze.errors import ConfigError, DataError
from freegaze.explanation.fields.linear import Frames

Noise = Literal["poisson", "gaussian"]

SHORT_SIDE_PX = 30
"""Frames are averaged over squares of pixels until their short side would fall below this: 3
degrees per pixel for a camera of 90 degrees, a quarter cycle of the highest spatial frequencies to
which mouse V1 responds."""

SIGMAS = (1 / 8, 1 / 12.7, 1 / 20)
"""Envelopes to start from, as shares of the frame's width: 6 to 15 degrees of a camera's 120."""

CYCLES_PER_SD, CYCLES_SPREAD, ASPECT_SPREAD = 0.33, 0.5, 0.4
"""Prior from V1 neurons (D. L. Ringach 2002, J Neurophysiol 88:455-463): cycles of the wave within
a standard deviation of the envelope, and spreads of the logarithms of these cycles and of the
aspect ratio. It keeps parameters that the responses do not determine within usual values."""

WIDER = 1.5
"""Size of neighboring envelopes from which a fitted filter is fitted again."""

N_ORIENTATIONS, N_STARTS, N_KEPT = 4, 2, 2
"""Orientations in the bank; starts for each neuron and kind; of those, how many are fitted on all
bins."""

COARSE_SHARE, COARSE_STEPS, COARSE_RATE = 1 / 3, 25, 0.12
FINE_STEPS, FINE_RATE = 50, 0.06
"""Bins of the first fit, and steps of both. They stop early on purpose: where the retina is a
sphere and the shifter is not, 100 fine steps put fewer envelopes in place than 50."""

NEURONS_AT_ONCE = 40
"""Bounds memory: an hour of 48 ms bins is 0.6 MB per filter, and about twenty copies are held."""


@dataclass(frozen=True, eq=False)
class GaborModels:
    """The likelier of a linear and an energy model of each neuron.

    Args:
        is_energy: Whether the energy of a pair in quadrature explains more than one linear filter.
        field: The linear filter, or the pair's first, times the course in time, of length 1,
            (neuron, history, height, width), oldest bin first.
        pair: Cosine and sine phase in space, (neuron, 2, height, width); what a linear filter
            adds of its envelope is left out.
    """

    is_energy: Bool[np.ndarray, " neuron"]
    field: Float[np.ndarray, "neuron history height width"]
    pair: Float[np.ndarray, "neuron 2 height width"]


class _Seen(NamedTuple):
    """Frames of all bins that windows look at, and where each window's lie among them."""

    video: Float[Tensor, "bin pixel"]
    places: Integer[Tensor, "history window"]
    grid: Float[Tensor, "2 pixel"]

    def first(self, n: int) -> _Seen:
        """Keep the first windows."""
        last = int(self.places[:, :n].max()) + 1
        return _Seen(self.video[:last], self.places[:, :n], self.grid)


class _Responses(NamedTuple):
    """Responses, what multiplies them besides vision, and their noise."""

    values: Float[Tensor, "window neuron"]
    gain: Float[Tensor, "window neuron"]
    noise: Noise

    def first(self, n: int) -> _Responses:
        """Keep the first windows."""
        return _Responses(self.values[:n], self.gain[:n], self.noise)


class _Models(NamedTuple):
    """Models of neurons, several of each: parameters to be fitted, first axis model."""

    shape: Float[Tensor, "model 6"]  # x, y, log sigma, log aspect, angle, log cycles a sigma
    mix: Float[Tensor, "model 3"]  # cosine, sine, constant
    course: Float[Tensor, "model history"]
    soft: Float[Tensor, "model 4"]  # slope, threshold, floor and height of what follows
    neuron: Integer[Tensor, " model"]
    is_energy: Bool[Tensor, " model"]

    def select(self, keep: Tensor) -> _Models:
        """Keep some, in the order given."""
        return _Models(*(part[keep] for part in self))


def fit_gabor_models(
    frames: Frames,
    targets: Integer[np.ndarray, " window"],
    responses: Float[np.ndarray, "window neuron"],
    history: int,
    lag: int = 1,
    *,
    gain: Float[np.ndarray, "window neuron"] | None = None,
    noise: Noise = "poisson",
) -> GaborModels:
    """Fit a Gabor function and a course in time to each neuron's responses.

    Two models compete: a linear filter (a Gabor function and a constant under one envelope), and
    the energy of a pair in quadrature; after either comes a soft threshold. A bank of Gabor
    functions all over the frame gives the starts, so that nothing depends on an encoder. Where the
    model is wrong (two subfields that no envelope joins), so is its field.

    Args:
        frames: Frames of given bins, on the retina.
        targets: Bins whose responses count.
        responses: Responses in those bins.
        history: Bins to look back.
        lag: Target bin minus the latest bin looked at.
        gain: Known factor of each expected response, apart from vision; 1 by default. Without it,
            fields of neurons that behavior drives lie where the scene depends on behavior.
        noise: Noise model of the responses.

    Returns:
        The fitted models; a neuron that never responds has a field of zeros.

    Raises:
        DataError: If there is no bin.
        ConfigError: If the history is less than one bin.

    Source: linear-nonlinear Poisson models, L. Paninski (2004), Network 15:243-262; energy models,
    E. H. Adelson and J. R. Bergen (1985).
    """
    if not len(targets):
        raise DataError("Gabor models need responses of at least one bin, got none")
    if history < 1:
        raise ConfigError(f"Gabor models look back at least one bin, got a history of {history}")
    order = np.argsort(targets, kind="stable")
    seen, size = _look(frames, targets[order], history, lag)
    rates = torch.from_numpy(np.ascontiguousarray(responses[order])).to(seen.video)
    known = torch.ones_like(rates)
    if gain is not None:
        known = torch.from_numpy(np.ascontiguousarray(gain[order])).to(rates)
    parts = []
    for some in torch.arange(responses.shape[1], device=rates.device).split(NEURONS_AT_ONCE):
        own = _Responses(rates[:, some], known[:, some], noise)
        models = _starts(seen, own, size)
        few = max(1, int(COARSE_SHARE * len(targets)))
        models, loss = _fit(seen.first(few), own.first(few), models, COARSE_STEPS, COARSE_RATE)
        models, loss = _fit(seen, own, _best(models, loss, seen.grid), FINE_STEPS, FINE_RATE)
        parts.append(_describe(models, loss, own.values, size))
    is_energy, field, pair = (np.concatenate(column) for column in zip(*parts, strict=True))
    return GaborModels(is_energy, field, pair)


def _look(
    frames: Frames, targets: np.ndarray, history: int, lag: int
) -> tuple[_Seen, tuple[int, int]]:
    """Return coarse frames of the bins that windows look at, and the size of the fine ones."""
    back = np.arange(history - 1, -1, -1)[:, None] + lag
    bins, places = np.unique(targets - back, return_inverse=True)
    height, width = frames(bins[:1]).shape[1:]
    step = max(1, min(height, width) // SHORT_SIDE_PX)
    parts = []
    for some in np.array_split(bins, -(-len(bins) // 1024)):
        coarse = F.avg_pool2d(frames(some).float()[:, None], step)
        parts.append(coarse.flatten(1))
    y, x = (torch.arange(n // step) * step + (step - 1) / 2 for n in (height, width))
    grid = torch.stack([part.flatten() for part in torch.meshgrid(x, y, indexing="xy")])
    video = torch.cat(parts)
    places = torch.from_numpy(places.reshape(history, -1)).to(video.device)
    return _Seen(video, places, grid.to(video)), (height, width)


def _gabors(
    shape: Float[Tensor, "model 6"], grid: Float[Tensor, "2 pixel"]
) -> Float[Tensor, "model 3 pixel"]:
    """Return cosine, sine and envelope, as long as an envelope of length 1 makes them."""
    x0, y0, log_sigma, log_aspect, angle, log_cycles = (p[:, None] for p in shape.unbind(1))
    dx, dy = grid[0] - x0, grid[1] - y0
    along = (dx * angle.cos() + dy * angle.sin()) / log_sigma.exp()
    across = (dy * angle.cos() - dx * angle.sin()) / (log_sigma + log_aspect).exp()
    envelope = torch.exp(-(along.square() + across.square()) / 2)
    wave = 2 * torch.pi * log_cycles.exp() * along
    parts = torch.stack([envelope * wave.cos(), envelope * wave.sin(), envelope], 1)
    return parts / envelope.norm(dim=1).clamp_min(1e-6)[:, None, None]


def _bank(size: tuple[int, int]) -> Float[Tensor, "gabor 6"]:
    """Return Gabor functions all over the frame, a standard deviation apart."""
    height, width = size
    shapes = []
    for sigma in (share * width for share in SIGMAS):
        n_y, n_x = max(1, round(height / sigma)), max(1, round(width / sigma))
        y = (torch.arange(n_y) + 0.5) * height / n_y - 0.5
        x = (torch.arange(n_x) + 0.5) * width / n_x - 0.5
        angle = torch.arange(N_ORIENTATIONS) * torch.pi / N_ORIENTATIONS
        rest = torch.log(torch.tensor([sigma])), torch.zeros(1)
        cycles = torch.tensor([np.log(CYCLES_PER_SD)], dtype=torch.float32)
        columns = torch.cartesian_prod(x, y, *rest, angle, cycles)
        shapes.append(columns)
    return torch.cat(shapes)


def _starts(seen: _Seen, responses: _Responses, size: tuple[int, int]) -> _Models:
    """Correlate responses with a bank of filters and energies, at every place of the window.

    Frames are seen less half of the frame before, as a biphasic course in time would: the scene's
    brightness changes slowly, and would hide the receptive field.
    """
    rates, gain = responses.values, responses.gain
    history, n_neurons = len(seen.places), rates.shape[1]
    bank = _bank(size).to(seen.video)
    change = seen.video - 0.5 * seen.video.roll(1, 0)
    centered = rates - gain * (rates.mean(0) / gain.mean(0))
    centered = centered - centered.mean(0)
    centered = centered / centered.norm(dim=0).clamp_min(1e-12)
    by_bin = torch.zeros(len(change), history, n_neurons).to(rates)
    for place in range(history):
        by_bin[seen.places[place], place] = centered
    # Every other bin: neighbors hardly differ, and this is most of the work of the bank.
    change, by_bin = change[::2], by_bin[::2].flatten(1)
    linear, energy, mixes = [], [], []
    for some in bank.split(200):
        drive = change @ _gabors(some, seen.grid).flatten(0, 1).T
        drive = (drive - drive.mean(0)).unflatten(1, (-1, 3))
        gram = torch.einsum("bmi,bmj->mij", drive, drive)
        ridge = 1e-3 * gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
        gram = gram + ridge[:, None, None] * torch.eye(3).to(gram)
        products = (drive.flatten(1).T @ by_bin).unflatten(0, (-1, 3))
        mixes.append(torch.linalg.solve(gram, products))
        linear.append((mixes[-1] * products).sum(1))
        both = drive[:, :, :2].square().sum(2).sqrt()
        both = both - both.mean(0)
        found = (both / both.norm(dim=0).clamp_min(1e-12)).T @ by_bin
        energy.append(found.clamp_min(0).square())
    mix = torch.cat(mixes).unflatten(2, (history, n_neurons))
    course = torch.eye(history) - 0.5 * torch.diag(torch.ones(history - 1), -1)
    rows = []
    for scores, is_energy in ((linear, False), (energy, True)):
        best, place = torch.cat(scores).unflatten(1, (history, n_neurons)).max(1)
        for neuron in range(n_neurons):
            for g in _apart(bank, best[:, neuron]):
                at = int(place[g, neuron])
                rows.append((bank[g], mix[g, :, at, neuron], course[at], neuron, is_energy))
    shape, mixed, courses, neuron, is_energy = zip(*rows, strict=True)
    return _Models(
        torch.stack(shape),
        torch.stack(mixed),
        torch.stack(courses).to(bank),
        torch.zeros(len(rows), 4).to(bank),
        torch.tensor(neuron, device=bank.device),
        torch.tensor(is_energy, device=bank.device),
    )


def _apart(bank: Float[Tensor, "gabor 6"], score: Float[Tensor, " gabor"]) -> list[int]:
    """Return the best few that lie a standard deviation of the smaller apart."""
    kept: list[int] = []
    places, sigma = bank[:, :2], bank[:, 2].exp()
    for g in score.argsort(descending=True).tolist():
        gaps = (places[g] - places[kept]).norm(dim=1)
        if (gaps > torch.minimum(sigma[g], sigma[kept])).all():
            kept.append(g)
        if len(kept) == N_STARTS:
            break
    return kept


def _fit(
    seen: _Seen,
    responses: _Responses,
    models: _Models,
    n_steps: int,
    rate: float,
) -> tuple[_Models, Float[Tensor, " model"]]:
    """Maximize the likelihood of all models at once; return them and their loss per window."""
    models = models.select(models.is_energy.int().argsort(stable=True))
    n_linear = int((~models.is_energy).sum())
    observed, gain = responses.values[:, models.neuron], responses.gain[:, models.neuron]
    is_count = responses.noise == "poisson"
    scale = torch.tensor([2.0, 2.0, 0.5, 0.3, 0.3, 0.3]).to(observed)
    moved = torch.zeros_like(models.shape)
    mix = F.normalize(models.mix, dim=1)
    course = F.normalize(models.course, dim=1)
    free = [part.clone().requires_grad_() for part in (moved, mix, course, models.soft)]
    with torch.no_grad():
        drive = _drive(seen, models.shape, mix, course, n_linear)
        middle, spread = drive.mean(0), drive.std(0).clamp_min(1e-6)
    level = observed.mean(0) / gain.mean(0)
    unit = level.clamp_min(1e-6) if is_count else observed.std(0) + 1e-6

    def loss() -> tuple[Tensor, Tensor]:
        moved, mix, course, soft = free
        slope, threshold, floor, height = soft.unbind(1)
        shape = models.shape + moved * scale
        drive = _drive(seen, shape, F.normalize(mix, dim=1), course, n_linear)
        above = F.softplus(2 * slope.exp() * (drive - middle) / spread + threshold)
        if is_count:
            expected = gain * unit * 0.5 * (floor.exp() + height.exp() * above)
            each = (expected - observed * (expected + 1e-6).log()).mean(0)
        else:
            expected = gain * (level + unit * (floor + 0.5 * height.exp() * (above - 1)))
            each = ((observed - expected) / unit).square().mean(0) / 2
        usual = ((shape[:, 5] - np.log(CYCLES_PER_SD)) / CYCLES_SPREAD).square()
        prior = (usual + (shape[:, 3] / ASPECT_SPREAD).square()) / (2 * len(observed))
        return each, prior

    climb = torch.optim.Adam(free, rate)
    plan = torch.optim.lr_scheduler.OneCycleLR(climb, rate, total_steps=n_steps, pct_start=0.1)
    for _ in range(n_steps):
        climb.zero_grad()
        each, prior = loss()
        (each + prior).sum().backward()
        climb.step()
        plan.step()
    with torch.no_grad():
        each, _ = loss()
        shape = models.shape + free[0] * scale
    mix, course, soft = (part.detach() for part in free[1:])
    return models._replace(shape=shape, mix=F.normalize(mix), course=course, soft=soft), each


def _drive(
    seen: _Seen, shape: Tensor, mix: Tensor, course: Tensor, n_linear: int
) -> Float[Tensor, "window model"]:
    """Filter in space and time; energy models, which come last, by the size of both phases."""
    basis = _gabors(shape, seen.grid)
    linear = (basis[:n_linear] * mix[:n_linear, :, None]).sum(1)
    filters = torch.cat([linear, basis[n_linear:, 0], basis[n_linear:, 1]])
    drive = seen.video @ filters.T
    courses = torch.cat([course, course[n_linear:]])
    total = torch.zeros(seen.places.shape[1], len(filters)).to(drive)
    for place, bins in enumerate(seen.places):
        total = total + drive.index_select(0, bins) * courses[:, place]
    linear, cosine, sine = total.split([n_linear, *[len(shape) - n_linear] * 2], 1)
    return torch.cat([linear, (cosine.square() + sine.square() + 1e-4).sqrt()], 1)


def _best(
    models: _Models, loss: Float[Tensor, " model"], grid: Float[Tensor, "2 pixel"]
) -> _Models:
    """Keep each neuron's likeliest few, of whichever kind, and neighbors of linear ones.

    One or two lobes are fitted nearly as well by a wider envelope farther along the wave, and
    gradient ascent does not lead from one to the other.
    """
    kept = []
    for neuron in models.neuron.unique():
        own = (models.neuron == neuron).nonzero()[:, 0]
        kept.append(own[loss[own].argsort()[:N_KEPT]])
    best = models.select(torch.cat(kept))
    linear = best.select(~best.is_energy)
    filters = torch.einsum("mi,mip->mp", linear.mix, _gabors(linear.shape, grid))
    sigma, angle = WIDER * linear.shape[:, 2].exp(), linear.shape[:, 4]
    found = [best]
    for side in (-1, 1):
        shape = linear.shape.clone()
        shape[:, 2] = sigma.log()
        shape[:, 0] += side * sigma * angle.cos()
        shape[:, 1] += side * sigma * angle.sin()
        basis = _gabors(shape, grid)
        gram = basis @ basis.mT + 1e-3 * torch.eye(3).to(basis)
        mix = torch.linalg.solve(gram, (basis @ filters[:, :, None]))[:, :, 0]
        found.append(linear._replace(shape=shape, mix=mix))
    return _Models(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _describe(
    models: _Models,
    loss: Float[Tensor, " model"],
    rates: Float[Tensor, "window neuron"],
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kind, field and pair of each neuron's likeliest model."""
    order = loss.argsort()
    first = [int(order[models.neuron[order] == n][0]) for n in range(rates.shape[1])]
    best = models.select(torch.tensor(first, device=loss.device))
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    basis = _gabors(best.shape, torch.stack([x.flatten(), y.flatten()]).to(best.shape))
    responds = (rates.std(0) > 0).to(basis)[:, None, None]
    linear = (basis * best.mix[:, :, None]).sum(1)
    filters = torch.where(best.is_energy[:, None], basis[:, 0], linear)
    field = F.normalize((best.course[:, :, None] * filters[:, None]).flatten(1), dim=1)
    field = field.unflatten(1, (-1, filters.shape[1])) * responds
    pair = basis[:, :2] * responds
    return (
        (best.is_energy & (responds[:, 0, 0] > 0)).cpu().numpy(),
        field.unflatten(2, size).cpu().numpy(),
        pair.unflatten(2, size).cpu().numpy(),
    )
