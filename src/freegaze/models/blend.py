"""Weighted mean of a network and of the convex encoder, fitted on one retinal frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.cnn_gru import CNNGRU, CNNGRUConfig
from freegaze.models.encoder import AbstractEncoder, HeldOut, register_model
from freegaze.models.local_energy import LocalEnergy, LocalEnergyConfig
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.models.parts.population_window import place_around
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig

SHARES = tuple(k / 20 for k in range(21))
"""Shares of the network that are tried on validation windows."""

EQUAL = 0.5
"""Share of equal weights."""


class BlendConfig(CNNGRUConfig):
    """Choices of the network, which are those of ``CNNGRUConfig``.

    The convex encoder has the defaults of ``LocalEnergyConfig``, with the shifter and the behavior
    features of the network.
    """


@register_model("blend")
class Blend(AbstractEncoder):
    """Predicts a weighted mean of the rates of ``cnn_gru`` and ``local_energy``.

    The network is fitted first. The convex encoder is then fitted to frames moved by the network's
    shifter. The weight of both is chosen for each session on validation windows, and moved halfway
    to equal weights, because few windows determine it and equal weights are rarely far from the
    best (Claeskens et al. 2016).

    Args:
        config: Choices of the network.
        sessions: Sizes and names of each session.

    Attributes:
        network: The network.
        convex: The convex encoder.
        network_share: Weight of the network in the mean, for each session.
    """

    Config = BlendConfig
    inputs = "both"
    network_share: Tensor

    def __init__(self, config: BlendConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.network = CNNGRU(config, sessions)
        shifter = config.shifter if isinstance(config.shifter, ShifterConfig) else NoShifterConfig()
        own = LocalEnergyConfig(shifter=shifter, features=config.features)
        self.convex = LocalEnergy(own, sessions).requires_grad_(False)
        self._searched: set[str] = set()
        self.register_buffer("network_share", torch.full((len(sessions),), EQUAL))

    @classmethod
    def reads(cls, config: BlendConfig) -> Sequence[str | Sequence[str]]:
        """Return the features that the network reads."""
        return CNNGRU.reads(config)

    @property
    def trained(self) -> AbstractEncoder:
        """Return the network."""
        return self.network

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the features of each frame by the network, then those by the convex encoder."""
        parts = (self.network, self.convex)
        return torch.cat([part.encode(video, behavior, session) for part in parts], -1)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Return the weighted mean of both responses to each window."""
        n_convex = self.convex.n_encoded(session)
        own, convex = features.split([features.shape[-1] - n_convex, n_convex], -1)
        share = self.network_share[self._index(session)]
        rates = self.network.respond(own, session), self.convex.respond(convex, session)
        return share * rates[0] + (1 - share) * rates[1]

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalties of the network."""
        return self.network.penalties(session)

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start both from the mean training responses."""
        self.network.initialize(session, mean_response)
        self.convex.initialize(session, mean_response)

    def load_pretrained(self) -> None:
        """Load the weights that the network starts a fit from."""
        self.network.load_pretrained()

    def gaze(self, session: str | None = None) -> GazeCorrection:
        """Return the gaze correction of the network."""
        return self.network.gaze(session)

    def prepare(
        self, session: str, data: PreparedSession, like: AbstractEncoder | None = None
    ) -> None:
        """Start the shifter and the window of the network from the data.

        Where nothing moves frames, the window is that of the convex encoder.
        """
        window, like = self.network.gaze(session).window, _network_of(like)
        if window is None or like is not None or self.convex.head(session).shifter is not None:
            self.network.prepare(session, data, like)
            return
        self.convex.search(session, data)
        self._searched.add(session)
        place_around(window, self.convex.head(session))

    def complete(
        self,
        sessions: Mapping[str, PreparedSession],
        held_out: HeldOut,
        like: AbstractEncoder | None = None,
    ) -> dict[str, Any]:
        """Fit the convex encoder under the network's gaze correction, and choose the weights.

        Args:
            sessions: The prepared sessions by id.
            held_out: Validation windows, on which the weights are chosen.
            like: Blend whose windows, weights of sets and weights of both parts are taken over. The
                convex encoder is then fitted to training and validation windows.

        Returns:
            Of each session the share of the network, and the validation losses of the network, the
            convex encoder and their mean.
        """
        for name in sessions:
            self._take_gaze(name)
        if isinstance(like, Blend):
            for name in sessions:
                self.convex.take_window(name, like.convex)
            self.convex.refit(sessions)
            self.network_share.copy_(like.network_share)
            return {}
        found = {}
        for name, session in sessions.items():
            # After an interruption the search of ``prepare`` is made again.
            if name not in self._searched:
                self.convex.search(name, session)
            self.convex.fit_weights({name: session})
            found[name] = self._choose_share(name, held_out)
        return {"blend": found}

    def _choose_share(self, name: str, held_out: HeldOut) -> dict[str, float]:
        network = held_out.predict(self.network, name)
        convex = held_out.predict(self.convex, name)

        def loss_of(share: float) -> float:
            return held_out.loss(name, share * network + (1 - share) * convex)

        share = (min(SHARES, key=loss_of) + EQUAL) / 2
        self.network_share[self._index(name)] = share
        losses = {"network": loss_of(1), "convex": loss_of(0), "mean": loss_of(share)}
        return {"share": share, **losses}

    def _take_gaze(self, name: str) -> None:
        """Give the convex encoder the shifter of the network."""
        own, found = self.convex.gaze(name), self.network.gaze(name)
        if own is not None and own.shifter is not None and found.shifter is not None:
            own.shifter.load_state_dict(found.shifter.state_dict())

    def _index(self, session: str | None) -> int:
        return list(self.sessions).index(self.session_name(session))


def _network_of(blend: AbstractEncoder | None) -> AbstractEncoder | None:
    return blend.network if isinstance(blend, Blend) else None
