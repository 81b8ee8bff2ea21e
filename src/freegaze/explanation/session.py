"""One session of a fitted encoder as the tensors and arrays that explanations are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.contiguous import run_ids
from freegaze.dataset.batches import sequence_chunks
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.features import unroll_circular
from freegaze.dataset.windows import input_bins
from freegaze.files.pieces import Arrays, ElsewhereError, Pieces
from freegaze.fitted.encoder import FittedEncoder
from freegaze.metrics.blocks import TimeBlocks, blocks_of_bins
from freegaze.models.callables import gaze_given, undisturbed
from freegaze.progress import Progress
from freegaze.recording.recording import Recording, ResponseKind

WINDOWS_AT_ONCE = 256
"""Windows predicted together; bounds memory over whole recordings."""


class ExplainedSession:
    """A recording, prepared as for the fit, with the arrays that explanations need.

    Args:
        encoder: The fitted encoder.
        recording: A session that it was fitted on.
        pieces: Storage of long computations; without it, they are not kept.
        progress: Receives every step as (description, done, total).

    Raises:
        DataError: If the session was not fitted, or lacks fitted neurons.
    """

    def __init__(
        self,
        encoder: FittedEncoder,
        recording: Recording,
        pieces: Pieces | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.encoder = encoder
        self.recording = encoder.match_neurons(recording)
        self.session_id = recording.session_id
        self.tensors = encoder.tensors(recording)
        self.behavior = encoder.session(recording).preparation.behavior
        self.history, self.lag = encoder.data.history, encoder.data.lag
        self.pieces, self.progress = pieces, progress or (lambda *_: None)
        self._n_kept = 0

    def keep(
        self,
        name: str,
        compute: Callable[[], Arrays],
        label: str | None = None,
        *,
        is_common: bool = False,
    ) -> Arrays:
        """Return arrays from the disk, or compute and keep them.

        Args:
            name: Name of the piece.
            compute: Computes its arrays.
            label: Description for the progress; the name by default.
            is_common: Whether all processes that share the pieces need this one, so that each of
                them computes it where it is missing.

        Raises:
            ElsewhereError: If it is missing and belongs to the share of another process.
        """
        self.progress(label or name, 0, 1)
        if self.pieces is None:
            return compute()
        if is_common:
            return self.pieces.get(name, compute)
        self._n_kept += 1
        return self.pieces.get(name, compute, self._n_kept - 1)

    def keep_each(
        self, names: Sequence[str], compute: Callable[[int], Arrays], label: str
    ) -> list[Arrays]:
        """Return several groups of arrays, each from the disk or computed and kept.

        Args:
            names: Names of the pieces.
            compute: Computes the arrays of a piece from its number, from 0.
            label: Description for the progress.

        Raises:
            ElsewhereError: If some are missing and belong to the shares of other processes; those
                of this share are then on the disk.
        """
        kept: list[Arrays] = []
        missing: ElsewhereError | None = None
        for number, name in enumerate(names):
            find = partial(compute, number)
            try:
                kept.append(find() if self.pieces is None else self.pieces.get(name, find, number))
            except ElsewhereError as error:
                missing = error
            self.progress(label, number + 1, len(names))
        if missing is not None:
            raise missing
        return kept

    def keep_by_neuron(self, name: str, compute: Callable[[int], Arrays]) -> list[Arrays]:
        """Return one group of arrays per neuron, each from the disk or computed and kept."""
        names = [f"{name}_{neuron:04d}" for neuron in range(self.recording.n_neurons)]
        return self.keep_each(names, compute, name)

    @property
    def has_counts(self) -> bool:
        """Return whether responses are counts, and not values that can be negative."""
        return self.recording.response_kind != ResponseKind.FLUORESCENCE

    @cached_property
    def targets(self) -> dict[str | None, Integer[np.ndarray, " window"]]:
        """Bins that windows predict, by role; of all bins for ``None``."""
        roles = ("train", "validation", "test", None)
        return {role: self.encoder.targets(self.recording, role) for role in roles}

    @cached_property
    def training_bins(self) -> Integer[np.ndarray, " bin"]:
        """Training bins of the recording."""
        return self.encoder.split(self.recording).bins("train")

    @cached_property
    def recorded_signals(self) -> dict[str, Float[np.ndarray, " time"]]:
        """Recorded columns by name, standardized over training bins, without gaps.

        An angle that wraps around is two signals, its cosine and sine. A column that is lost in all
        training bins is 0.
        """
        recording, names = self.recording, self.recording.behavior_names
        signals = {part: name for name in names for part in unroll_circular(name, names)}
        known = tuple(
            signal
            for signal, name in signals.items()
            if np.isfinite(recording.column(name)[self.training_bins]).any()
        )
        values = fit_behavior_transform(recording, known, self.training_bins).signals(recording)
        lost = np.zeros(recording.n_bins, dtype=np.float32)
        return {
            signal: values[:, known.index(signal)] if signal in known else lost
            for signal in signals
        }

    def sample(self, role: str, n: int, seed: int) -> Integer[np.ndarray, " window"]:
        """Draw target bins of a role, in order of time; all of them if there are no more."""
        targets = self.targets[role]
        rng = np.random.default_rng(seed)
        return np.sort(rng.choice(targets, min(n, len(targets)), replace=False))

    def blocks(self, targets: Integer[np.ndarray, " window"], role: str) -> TimeBlocks:
        """Return the blocks of time, or the trials, that some of a role's windows lie in.

        Args:
            targets: Target bins, in order of time.
            role: Role whose windows they are; blocks are cut in all of its windows.
        """
        every = self.targets[role]
        segment = self.recording.segment_index()[every]
        is_trial = self.recording.is_in_trial()[every]
        runs = run_ids(every - np.arange(len(every)), segment)
        blocks = blocks_of_bins(runs, segment, is_trial, self.recording.bin_width_s)
        return blocks.at(every).select(np.isin(every, targets))

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
        """Return retinal frames: the camera's frames as the encoder's shifter moves them."""
        flat = bins.flatten()
        features = self.behavior.features(self.signals(flat))
        with torch.no_grad(), undisturbed(self.encoder):
            seen = self.encoder.encoder.see(self.video(flat), features, self.session_id)
        return seen.float().unflatten(0, bins.shape)

    def retinal_frames(
        self, bins: Integer[np.ndarray, " bin"]
    ) -> Float[Tensor, "bin height width"]:
        """Return the retinal frames of some bins."""
        return self.retinal_video(self._numbers(bins))[:, 0]

    def camera_frames(self, bins: Integer[np.ndarray, " bin"]) -> Float[Tensor, "bin height width"]:
        """Return the camera's frames of some bins, scaled as for the fit."""
        return self.video(self._numbers(bins))[:, 0]

    def _numbers(self, bins: np.ndarray) -> Integer[Tensor, " bin"]:
        return torch.from_numpy(np.ascontiguousarray(bins)).to(self.encoder.device)

    @cached_property
    def training_signals(self) -> Float[np.ndarray, "time signal"]:
        """Behavior signals of training bins, scaled as for the fit."""
        return self.tensors.signals.cpu().numpy()[self.training_bins]

    @cached_property
    def median_features(self) -> Float[Tensor, " feature"]:
        """Features of the behavior whose every signal is at its training median."""
        # In numpy: torch has no quantile of no signals, nor of more than 16 million numbers.
        middle = np.median(self.training_signals, axis=0)
        return self.behavior.features(torch.from_numpy(middle).to(self.tensors.signals))

    def still(self, n: int) -> Float[Tensor, "window history feature"]:
        """Return windows of the median behavior."""
        return self.median_features.expand(n, self.history, -1)

    def rates(self, targets: Integer[np.ndarray, " window"]) -> Float[np.ndarray, "window neuron"]:
        """Predict windows with the recorded behavior, in evaluation mode."""
        with undisturbed(self.encoder):
            return self.encoder.predict(self.recording, targets=targets).rates

    @cached_property
    def drive(self) -> Float[np.ndarray, "window neuron"]:
        """Visual drive in every window of ``targets[None]``, computed once and kept."""
        found = self.keep(
            "drive", lambda: {"drive": self.visual_drive()}, "visual drive", is_common=True
        )
        return found["drive"]

    def visual_drive(self) -> Float[np.ndarray, "window neuron"]:
        """Predict every window with recorded gaze and all other behavior at its median."""
        return self._predict_every(lambda signals: self.median_features.expand(len(signals), -1))

    def rates_without(self, signal: int | None) -> Float[np.ndarray, "window neuron"]:
        """Predict every window with recorded behavior, one signal at its training median.

        Gaze stays as recorded, so that the retinal frame does too.

        Args:
            signal: Number of the signal; ``None`` for the prediction with all of them.
        """
        middle = np.median(self.training_signals, axis=0)

        def features(signals: Tensor) -> Tensor:
            changed = signals.clone()
            if signal is not None:
                changed[:, signal] = float(middle[signal])
            return self.behavior.features(changed)

        return self._predict_every(features)

    def _predict_every(
        self, features: Callable[[Tensor], Tensor]
    ) -> Float[np.ndarray, "window neuron"]:
        """Predict every window with recorded gaze and features made of the recorded signals."""
        parts = []
        model = self.encoder.encoder
        for first, n in sequence_chunks(self.targets[None], WINDOWS_AT_ONCE):
            bins = torch.arange(first - self.lag - self.history + 1, first - self.lag + n)
            bins = bins.to(self.encoder.device)
            video, signals = self.video(bins)[None], self.signals(bins)
            gaze = gaze_given(self.encoder, self.behavior.features(signals))
            with torch.no_grad(), undisturbed(self.encoder), gaze:
                found = model.predict_sequence(video, features(signals)[None], self.session_id)
            parts.append(found[0].float().cpu())
        return torch.cat(parts).numpy()
