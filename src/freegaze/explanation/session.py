"""One session of a fitted encoder as the tensors and arrays that explainers take."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.dataset.batches import sequence_chunks
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.windows import input_bins
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.callables import gaze_given, undisturbed
from freegaze.recording.recording import Recording

WINDOWS_AT_ONCE = 256
"""Bounds memory where whole recordings are gone through."""


class ExplainedSession:
    """A recording, prepared as for the fit, and ways to look at it.

    Args:
        encoder: The fitted encoder.
        recording: A session that it was fitted on.

    Raises:
        DataError: If the session was not fitted, or lacks fitted neurons.
    """

    def __init__(self, encoder: FittedEncoder, recording: Recording) -> None:
        self.encoder = encoder
        self.recording = encoder.match_neurons(recording)
        self.session_id = recording.session_id
        self.tensors = encoder.tensors(recording)
        self.behavior = encoder.session(recording).preparation.behavior
        self.history, self.lag = encoder.data.history, encoder.data.lag

    @cached_property
    def targets(self) -> dict[str | None, Integer[np.ndarray, " window"]]:
        """Bins that windows predict, by role; of all bins for ``None``."""
        roles = ("train", "validation", "test", None)
        return {role: self.encoder.targets(self.recording, role) for role in roles}

    @cached_property
    def recorded_signals(self) -> Float[np.ndarray, "time column"]:
        """All recorded behavior columns, standardized over training bins, without gaps."""
        training = self.encoder.split(self.recording).bins("train")
        names = self.recording.behavior_names
        known = tuple(n for n in names if np.isfinite(self.recording.column(n)[training]).any())
        transform = fit_behavior_transform(self.recording, known, training)
        columns = transform.signals(self.recording)
        out = np.zeros((self.recording.n_bins, len(names)), dtype=np.float32)
        out[:, [names.index(n) for n in known]] = columns[
            :, [transform.signal_names.index(n) for n in known]
        ]
        return out

    def sample(self, role: str, n: int, seed: int) -> Integer[np.ndarray, " window"]:
        """Draw target bins of a role, in order of time; all of them if there are no more."""
        targets = self.targets[role]
        rng = np.random.default_rng(seed)
        return np.sort(rng.choice(targets, min(n, len(targets)), replace=False))

    def bins(self, targets: Integer[np.ndarray, " window"]) -> Integer[Tensor, "window history"]:
        """Return the input bins of windows, oldest first."""
        bins = input_bins(targets, self.history, self.lag)
        return torch.from_numpy(bins).to(self.encoder.device)

    def video(self, bins: Integer[Tensor, "*batch"]) -> Float[Tensor, "*batch 1 height width"]:
        """Return the camera's frames, scaled as for the fit."""
        return self.tensors.video(bins)

    def signals(self, bins: Integer[Tensor, "*batch"]) -> Float[Tensor, "*batch signal"]:
        """Return the behavior signals that features are made of, scaled as for the fit."""
        return self.tensors.signals[bins]

    def retinal_video(
        self, bins: Integer[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch 1 height width"]:
        """Return frames as the encoder's shifter moves them."""
        flat = bins.flatten()
        features = self.behavior.features(self.signals(flat))
        with torch.no_grad(), undisturbed(self.encoder):
            seen = self.encoder.encoder.see(self.video(flat), features, self.session_id)
        return seen.float().unflatten(0, bins.shape)

    @cached_property
    def training_signals(self) -> Float[np.ndarray, "time signal"]:
        """Behavior signals of training bins, scaled as for the fit."""
        training = self.encoder.split(self.recording).bins("train")
        return self.tensors.signals.cpu().numpy()[training]

    @cached_property
    def median_features(self) -> Float[Tensor, " feature"]:
        """Features of the behavior whose every signal is at its training median."""
        # In numpy: torch has no quantile of no signals, nor of more than 16 million numbers.
        middle = np.median(self.training_signals, axis=0)
        return self.behavior.features(torch.from_numpy(middle).to(self.tensors.signals))

    def still(self, n: int) -> Float[Tensor, "window history feature"]:
        """Return windows of the median behavior."""
        return self.median_features.expand(n, self.history, -1)

    def visual_drive(self) -> Float[np.ndarray, "window neuron"]:
        """Predict every window from vision alone: gaze as it was, behavior else at its median."""
        parts = []
        model = self.encoder.encoder
        for first, n in self._stretches():
            bins = torch.arange(first - self.lag - self.history + 1, first - self.lag + n)
            bins = bins.to(self.encoder.device)
            video, still = self.video(bins)[None], self.median_features.expand(1, len(bins), -1)
            gaze = gaze_given(self.encoder, self.behavior.features(self.signals(bins)))
            with torch.no_grad(), undisturbed(self.encoder), gaze:
                parts.append(model.predict_sequence(video, still, self.session_id)[0].float().cpu())
        return torch.cat(parts).numpy()

    def _stretches(self) -> Iterator[tuple[int, int]]:
        return sequence_chunks(self.targets[None], WINDOWS_AT_ONCE)
