"""The original's models in a few plain lines each, as told in its description; an oracle.

Layers are named so that their state dicts have the original's names. ``masks`` are the dropout
masks to use, in the order in which they are needed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Masked(nn.Module):
    """Dropout of one half with masks that are given."""

    def __init__(self, masks: list[Tensor]) -> None:
        super().__init__()
        self.masks = masks

    def forward(self, x: Tensor) -> Tensor:
        return x * self.masks.pop(0) / 0.5


class Shifter(nn.Module):
    def __init__(self, hidden: int, fraction: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.BatchNorm1d(4), nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.Tanh()),
            *(nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.Tanh()),
            *(nn.Linear(hidden, 3), nn.Tanh()),
        )
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = torch.tensor([80 * fraction, 60 * fraction, 180 / 4]).double()

    def forward(self, images: Tensor, position: Tensor) -> Tensor:
        dx, dy, angle = ((self.layers(position) + self.bias) * self.scale).T
        cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
        zero, one = torch.zeros_like(dx), torch.ones_like(dx)

        def matrix(*rows: list[Tensor]) -> Tensor:
            return torch.stack([torch.stack(row, -1) for row in rows], -2)

        def translation(x: Tensor, y: Tensor) -> Tensor:
            return matrix([one, zero, x], [zero, one, y], [zero, zero, one])

        rotation = matrix([cos, -sin, zero], [sin, cos, zero], [zero, zero, one])
        center = translation(30 * one, 40 * one)
        there = translation(dx, dy) @ center @ rotation @ translation(-30 * one, -40 * one)
        y, x = torch.meshgrid(
            torch.arange(60.0).double(), torch.arange(80.0).double(), indexing="ij"
        )
        points = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
        source = (torch.linalg.inv(there) @ points)[:, :2]
        grid = 2 * source / torch.tensor([[79.0], [59.0]]).double() - 1
        return F.grid_sample(images, grid.mT.unflatten(1, (60, 80)), align_corners=True)


class Encoder(nn.Module):
    def __init__(self, channels: tuple[int, ...], n_outputs: int, masks: list[Tensor] | None):
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in zip((1, *channels[:-1]), channels, strict=True):
            drop = nn.Identity() if masks is None else Masked(masks)
            layers += [nn.Conv2d(n_in, n_out, 7, 2), nn.BatchNorm2d(n_out), nn.ReLU(), drop]
        layers += [nn.Flatten(), nn.Linear(channels[-1] * 15, n_outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class PlainCNN(nn.Module):
    def __init__(self, n_neurons: int, masks: list[Tensor]) -> None:
        super().__init__()
        self.shifter = Shifter(256, 1 / 4)
        self.encoder = Encoder((128, 64, 32), n_neurons, masks)

    def loss(self, images: Tensor, behavior: Tensor, counts: Tensor) -> Tensor:
        moved = self.shifter(images[:, 0], behavior[:, 0])
        return F.poisson_nll_loss(F.softplus(self.encoder(moved)), counts, log_input=False)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_layers = nn.Sequential(
            *(nn.Linear(256, 3840), nn.ReLU(), nn.Identity(), nn.Unflatten(1, (256, 3, 5))),
            *(nn.ConvTranspose2d(256, 128, 7, 2, output_padding=(0, 1)), nn.BatchNorm2d(128)),
            *(nn.ReLU(), nn.Identity()),
            *(nn.ConvTranspose2d(128, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.Identity()),
            *(nn.ConvTranspose2d(64, 1, 7, 2, output_padding=1), nn.BatchNorm2d(1), nn.ReLU()),
        )


class PlainAutoencoder(nn.Module):
    def __init__(self, n_neurons: int, masks: list[Tensor]) -> None:
        super().__init__()
        self.shifter = Shifter(128, 1 / 4)
        self.encoder = Encoder((64, 128, 256), 256, None)
        self.decoder = Decoder()
        self.fc = nn.Linear(256, n_neurons)

    def loss(self, images: Tensor, behavior: Tensor, counts: Tensor) -> Tensor:
        latent = self.encoder(self.shifter(images[:, 0], behavior[:, 0]))
        spikes = F.poisson_nll_loss(F.softplus(self.fc(latent)), counts, log_input=False)
        return spikes + 0.5 * F.mse_loss(self.decoder.conv_layers(latent), images[:, 0])


class BehaviorEncoder(nn.Module):
    def __init__(self, n_features: int, n_neurons: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(n_features), nn.Linear(n_features, n_neurons))


class PlainCNNGRU(nn.Module):
    def __init__(self, n_neurons: int, masks: list[Tensor]) -> None:
        super().__init__()
        self.shifter = Shifter(256, 1 / 5.5)
        self.visual_encoder = Encoder((128, 64, 32), n_neurons, masks)
        self.behav_encoder = BehaviorEncoder(66, n_neurons)
        self.bn = nn.BatchNorm1d(3)
        self.lstm_net = nn.GRU(3 * n_neurons, 512, batch_first=True)
        self.fc = nn.Linear(512, n_neurons)

    def loss(self, images: Tensor, behavior: Tensor, counts: Tensor) -> Tensor:
        steps = []
        for t in range(images.shape[1]):
            position = behavior[:, t][:, [4, 3, 1, 2]]
            vision = self.visual_encoder(self.shifter(images[:, t], position))
            state = self.behav_encoder.layers(behavior[:, t])
            steps.append(self.bn(torch.stack([vision, state, vision * state], 1)).flatten(1))
        rate = F.softplus(self.fc(self.lstm_net(torch.stack(steps, 1))[0][:, -1]))
        l1 = self.behav_encoder.layers[1].weight.abs().mean()
        return F.poisson_nll_loss(rate, counts, log_input=False) + l1


class PlainSensorium(nn.Module):
    """Its weights are plain attributes, taken from a state dict in the original's layout."""

    def __init__(self, n_neurons: int, masks: list[Tensor]) -> None:
        super().__init__()
        self.n_training_windows = 0

    def load_state_dict(self, state: dict[str, Tensor], strict: bool = True) -> None:
        for name, tensor in state.items():
            if tensor.is_floating_point() and "running" not in name and "laplace" not in name:
                self.register_parameter(name.replace(".", "/"), nn.Parameter(tensor.clone()))

    def loss(self, images: Tensor, behavior: Tensor, counts: Tensor) -> Tensor:
        weight = {name.replace("/", "."): p for name, p in self.named_parameters()}
        maps = F.conv2d(images[:, 0], weight["core.features.layer0.conv.weight"])
        for layer in range(4):
            at = f"core.features.layer{layer}"
            for part, options in (
                ("in_depth_conv", {}),
                ("spatial_conv", {"padding": 3, "groups": 64}),
                ("out_depth_conv", {}),
            ):
                if layer:
                    name = f"{at}.ds_conv.{part}"
                    maps = F.conv2d(
                        maps, weight[f"{name}.weight"], weight[f"{name}.bias"], **options
                    )
            scale, offset = weight[f"{at}.norm.weight"], weight[f"{at}.norm.bias"]
            maps = F.elu(F.batch_norm(maps, None, None, scale, offset, training=True))
        eye = behavior[:, 0]
        for layer in (0, 2, 4):
            name = f"shifter.s.mlp.{layer}"
            eye = torch.tanh(F.linear(eye, weight[f"{name}.weight"], weight[f"{name}.bias"]))
        weight["readout.s._mu"].data.clamp_(-1, 1)
        grid = weight["readout.s._mu"].expand(len(maps), -1, -1, -1) + eye[:, None, None]
        seen = F.grid_sample(maps, grid, align_corners=True)[..., 0]
        features = weight["readout.s._features"][0, :, 0]
        rate = F.elu((seen * features).sum(1) + weight["readout.s.bias"]) + 1
        total = F.poisson_nll_loss(rate, counts, log_input=False, reduction="sum")
        filters = weight["core.features.layer0.conv.weight"]
        laplace = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).double()[None, None]
        rough = F.conv2d(filters, laplace, padding=1).square().sum() / filters.square().sum()
        scale = (self.n_training_windows / len(counts)) ** 0.5
        return scale * total + 6.3831 * rough + 0.0076 * features.abs().sum()
