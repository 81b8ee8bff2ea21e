"""The method of Xu et al. (2023) in a few plain lines of PyTorch, to measure against.

What anybody would write first: a data set of single windows, a loader, default modules, one window
after the other. Every operation is PyTorch's own in its default layout and precision. Nothing is
slow on purpose: products of features are made by numpy (but in ``LoopedWindows``, for comparison),
the loader has as many workers as help.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

N_SIGNALS = 11
FIRST, SECOND = np.triu_indices(N_SIGNALS, 1)


class Windows(Dataset):
    """Windows of a session, one at a time: video, behavior with all products, responses."""

    def __init__(
        self, video: np.ndarray, signals: np.ndarray, responses: np.ndarray, history: int
    ) -> None:
        self.video = video.astype(np.float32)  # (time, height, width)
        self.video /= 255
        self.signals = signals.astype(np.float32)  # (time, 11)
        self.responses = responses.astype(np.float32)  # (time, neuron)
        self.history = history

    def __len__(self) -> int:
        return len(self.video) - self.history

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        window = slice(index, index + self.history)
        signals = self.signals[window]
        products = signals[:, FIRST] * signals[:, SECOND]
        behavior = np.concatenate([signals, products], axis=1)
        return self.video[window][:, None], behavior, self.responses[index + self.history]


class LoopedWindows(Windows):
    """As the original's: features of every window by a loop over bins and pairs of signals."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        video, _, responses = super().__getitem__(index)
        behavior = []
        for signals in self.signals[index : index + self.history]:
            pairs = zip(FIRST, SECOND, strict=True)
            behavior.append([*signals, *(signals[i] * signals[j] for i, j in pairs)])
        return video, np.array(behavior, dtype=np.float32), responses


def loader(windows: Dataset, batch: int, workers: int, shuffle: bool = True) -> DataLoader:
    """Return batches of windows."""
    return DataLoader(
        windows,
        batch,
        shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class Shifter(nn.Module):
    """Moves and turns each frame by what two hidden layers make of four angles."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.BatchNorm1d(4), nn.Linear(4, 256), nn.BatchNorm1d(256), nn.Tanh()),
            *(nn.Linear(256, 256), nn.BatchNorm1d(256), nn.Tanh(), nn.Linear(256, 3), nn.Tanh()),
        )
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("limits", torch.tensor([80 / 5.5, 60 / 5.5, torch.pi / 4]))

    def forward(self, frames: Tensor, angles: Tensor) -> Tensor:
        """Return the frames, moved."""
        dx, dy, angle = ((self.layers(angles) + self.bias) * self.limits).unbind(1)
        height, width = frames.shape[-2:]
        cos, sin, x0, y0 = torch.cos(angle), torch.sin(angle), height / 2, width / 2
        # From pixels of the result to pixels of the frame, then to the sampler's units.
        to_x = torch.stack([cos, sin, x0 - cos * (x0 + dx) - sin * (y0 + dy)], 1)
        to_y = torch.stack([-sin, cos, y0 + sin * (x0 + dx) - cos * (y0 + dy)], 1)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        points = torch.stack([x, y, torch.ones_like(x)]).flatten(1).float().to(frames.device)
        scale = torch.tensor([2 / (width - 1), 2 / (height - 1)], device=frames.device)
        grid = (torch.stack([to_x, to_y], 1) @ points).transpose(1, 2) * scale - 1
        return F.grid_sample(frames, grid.unflatten(1, (height, width)), align_corners=True)


class Encoder(nn.Module):
    """Shifter, three convolutions, behavior, their product, a recurrent unit."""

    def __init__(self, n_neurons: int, n_features: int = 66) -> None:
        super().__init__()
        self.shifter = Shifter()
        blocks = []
        for n_in, n_out in ((1, 128), (128, 64), (64, 32)):
            blocks += [nn.Conv2d(n_in, n_out, 7, 2), nn.BatchNorm2d(n_out), nn.ReLU()]
            blocks += [nn.Dropout(0.5)]
        self.vision = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(480, n_neurons))
        self.behavior_norm = nn.BatchNorm1d(n_features)
        self.behavior = nn.Linear(n_features, n_neurons)
        self.norm = nn.BatchNorm1d(3)
        self.gru = nn.GRU(3 * n_neurons, 512, batch_first=True)
        self.output = nn.Linear(512, n_neurons)

    def forward(self, video: Tensor, behavior: Tensor) -> Tensor:
        """Return the expected counts of windows."""
        steps = []
        for t in range(video.shape[1]):
            vision = self.vision(self.shifter(video[:, t], behavior[:, t, :4]))
            state = self.behavior(self.behavior_norm(behavior[:, t]))
            steps.append(self.norm(torch.stack([vision, state, vision * state], 1)).flatten(1))
        hidden, _ = self.gru(torch.stack(steps, 1))
        return F.softplus(self.output(hidden[:, -1]))


def train_step(encoder: Encoder, adam: torch.optim.Optimizer, batch: list[Tensor]) -> float:
    """Take one step and return the loss."""
    device = encoder.output.weight.device
    video, behavior, responses = (part.to(device, non_blocking=True) for part in batch)
    loss = F.poisson_nll_loss(encoder(video, behavior), responses, log_input=False)
    loss = loss + encoder.behavior.weight.abs().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss.item()


def predict(encoder: Encoder, batches: DataLoader) -> Tensor:
    """Predict every window."""
    encoder.eval()
    device = encoder.output.weight.device
    with torch.no_grad():
        parts = [encoder(video.to(device), behavior.to(device)) for video, behavior, _ in batches]
        return torch.cat(parts).cpu()


def saliency(encoder: Encoder, video: Tensor, behavior: Tensor) -> Tensor:
    """Differentiate each neuron's rate by behavior, a forward and a backward pass each."""
    found = []
    for neuron in range(encoder.output.out_features):
        point = behavior.clone().requires_grad_()
        encoder(video, point)[:, neuron].sum().backward()
        assert point.grad is not None
        found.append(point.grad.sum(1))
    return torch.stack(found, 1)
