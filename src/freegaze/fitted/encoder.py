"""Fitted encoder: weights, features, scaling and session names, to predict recordings with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer

from freegaze.dataset.batches import Preparation, SessionTensors
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import split_of
from freegaze.dataset.splits import Split
from freegaze.dataset.windows import window_targets
from freegaze.errors import DataError, ShapeError
from freegaze.fitted.prediction import predict_windows
from freegaze.models.encoder import AbstractEncoder
from freegaze.recording.recording import Recording


@dataclass(frozen=True)
class FittedSession:
    """Results of a fit for one session, beside the weights.

    Args:
        dims: Sizes and names.
        preparation: Scaling of behavior and video, fitted on training bins.
        unit_ids: The neurons that were fitted, in the order of the predictions.
        bin_width_s: Width of a bin in seconds.
        mean_response: Mean response per bin of each neuron over training bins, (neuron,); NaN for
            weights that came without their data.
    """

    dims: EncoderDims
    preparation: Preparation
    unit_ids: tuple[str, ...]
    bin_width_s: float
    mean_response: Float[np.ndarray, " neuron"]


@dataclass(frozen=True)
class Prediction:
    """Predicted responses of some bins.

    Args:
        session_id: The session.
        targets: The predicted bins, (window,).
        rates: Expected responses per bin, (window, neuron), float32.
        unit_ids: Name of each neuron.
    """

    session_id: str
    targets: Integer[np.ndarray, " window"]
    rates: Float[np.ndarray, "window neuron"]
    unit_ids: tuple[str, ...]

    def to_xarray(self) -> Any:
        """Return a ``DataArray`` of bins and neurons; see ``fitted.xarray_objects``."""
        from freegaze.fitted.xarray_objects import prediction_to_xarray

        return prediction_to_xarray(self)


class FittedEncoder:
    """An encoder with all it needs to predict a recording; see ``load_encoder``.

    Args:
        encoder: The encoder; put into evaluation mode.
        sessions: Results of the fit for each session.
        model_name: Registered name of the encoder.
        data: Settings of its windows.
        split: Settings of its splits.
        device: Device of the computation.
        run: Folder of the run that fitted it; ``None`` for weights without a run.
    """

    def __init__(
        self,
        encoder: AbstractEncoder,
        sessions: Mapping[str, FittedSession],
        model_name: str,
        data: DataConfig,
        split: SplitConfig,
        device: torch.device | str = "cpu",
        run: Path | None = None,
    ) -> None:
        self.encoder = encoder.to(device).eval()
        self.sessions = dict(sessions)
        self.model_name = model_name
        self.data, self.split_config = data, split
        self.device = torch.device(device)
        self.run = run

    def __repr__(self) -> str:
        lines = [f"FittedEncoder {self.model_name!r} of {self.run or 'no run folder'}"]
        lines.append(
            f"  windows of {self.data.history} bins, lag {self.data.lag}; "
            f"{len(self.behavior_names)} behavior features; on {self.device}"
        )
        for name, session in self.sessions.items():
            height, width = session.dims.frame_size
            lines.append(
                f"  session {name!r}: {len(session.unit_ids)} neurons, bins of "
                f"{session.bin_width_s * 1000:.4g} ms, frames of {height} x {width} px"
            )
        return "\n".join(lines)

    @property
    def session_ids(self) -> tuple[str, ...]:
        """Sessions that it was fitted on."""
        return tuple(self.sessions)

    @property
    def behavior_names(self) -> tuple[str, ...]:
        """Behavior features that the encoder reads, in order."""
        return next(iter(self.sessions.values())).dims.behavior_names

    def __call__(
        self,
        video: Float[torch.Tensor, "batch history 1 height width"],
        behavior: Float[torch.Tensor, "batch history feature"],
        session: str | None = None,
    ) -> Float[torch.Tensor, "batch neuron"]:
        """Predict one window each from tensors that are already scaled; differentiable.

        Args:
            video: Frames, scaled as for the fit.
            behavior: Behavior features, scaled as for the fit; columns as in ``behavior_names``.
            session: Session of the neurons; may be left out where there is one session.

        Returns:
            Expected responses in the windows' target bins.

        Raises:
            ConfigError: If the session is unknown, or left out where there are several.
            ShapeError: If the sizes are not those fitted.
        """
        dims = self.sessions[self.encoder.session_name(session)].dims
        expected = (dims.history, *dims.frame_size, len(dims.behavior_names))
        came = (video.shape[1], *video.shape[-2:], behavior.shape[-1])
        if came != expected or behavior.shape[:2] != video.shape[:2]:
            raise ShapeError(
                f"expected video (batch, {dims.history}, 1, {dims.frame_size[0]}, "
                f"{dims.frame_size[1]}) and behavior (batch, {dims.history}, {expected[-1]}), got "
                f"{tuple(video.shape)} and {tuple(behavior.shape)}"
            )
        return self.encoder(video, behavior, session)

    def mean_response(self, recording: Recording) -> Float[np.ndarray, " neuron"]:
        """Return each neuron's mean response per bin over training bins.

        It is taken from the fit, or, for weights that came without their data, from the recording.

        Args:
            recording: The session, with the fitted neurons.
        """
        known = self.session(recording).mean_response
        if not np.isnan(known).all():
            return known
        return recording.mean_response(self.split(recording).bins("train")).astype(np.float32)

    def session(self, recording: Recording) -> FittedSession:
        """Return the results of the fit for a recording's session.

        Raises:
            DataError: If the encoder was not fitted on that session.
        """
        if recording.session_id not in self.sessions:
            raise DataError(
                f"this encoder was fitted on {', '.join(self.sessions)}, not on "
                f"{recording.session_id!r}; a readout belongs to its session's neurons"
            )
        return self.sessions[recording.session_id]

    def match_neurons(self, recording: Recording) -> Recording:
        """Return the recording with the fitted neurons in the fitted order.

        Raises:
            DataError: If one of them is missing.
        """
        place = {unit: i for i, unit in enumerate(recording.unit_ids)}
        wanted = self.session(recording).unit_ids
        missing = [unit for unit in wanted if unit not in place]
        if missing:
            raise DataError(
                f"session {recording.session_id!r} lacks the fitted neuron {missing[0]!r} (and "
                f"{len(missing) - 1} others); open it with the options it was fitted with"
            )
        if wanted == recording.unit_ids:
            return recording
        return recording.select_neurons([place[unit] for unit in wanted])

    def split(self, recording: Recording) -> Split:
        """Split a recording as it was split for the fit.

        Raises:
            DataError: If the training bins have other mean responses than those of the fit.
        """
        split = split_of(recording, self.split_config, self.data)
        fitted = self.sessions.get(recording.session_id)
        if fitted is not None and fitted.unit_ids == recording.unit_ids:
            _check_training_bins(recording, split, fitted.mean_response)
        return split

    def targets(
        self, recording: Recording, role: str | None = "test"
    ) -> Integer[np.ndarray, " window"]:
        """Return the bins that windows of a role predict (of all bins for ``None``).

        Raises:
            DataError: If the role is unknown.
        """
        if role not in (None, "train", "validation", "test"):
            raise DataError(f"unknown role {role!r}; expected train, validation, test or None")
        split = self.split(recording) if role is not None else None
        return window_targets(
            recording.segments, self.data.history, self.data.lag, split=split, role=role
        )

    def tensors(self, recording: Recording) -> SessionTensors:
        """Put a recording, prepared as for the fit, on the encoder's device.

        Raises:
            ShapeError: If its frames have another size than those fitted.
        """
        session = self.session(recording)
        if recording.frame_size != session.dims.frame_size:
            raise ShapeError(
                f"session {recording.session_id!r} has frames of {recording.frame_size} px, the "
                f"encoder was fitted on {session.dims.frame_size}; resize the video first"
            )
        return SessionTensors(
            self.match_neurons(recording),
            session.preparation,
            self.data.history,
            self.data.lag,
            self.device,
        )

    def displacement(self, recording: Recording) -> Float[np.ndarray, "time 3"] | None:
        """Return the shifter's (x px, y px, angle deg) in each bin, or ``None`` without a shifter.

        Raises:
            DataError: If the encoder was not fitted on the recording's session.
        """
        behavior = self.session(recording).preparation.behavior
        signals = torch.from_numpy(behavior.signals(recording)).to(self.device)
        with torch.no_grad():
            shift = self.encoder.shift(behavior.features(signals), recording.session_id)
        return None if shift is None else shift.cpu().numpy()

    def predict(
        self, recording: Recording, role: str | None = None, targets: np.ndarray | None = None
    ) -> Prediction:
        """Predict every neuron's expected response.

        Args:
            recording: A session the encoder was fitted on.
            role: Predict bins of this role; ``None`` predicts every bin that has a full window.
            targets: Predict these bins (in order of time) instead.

        Returns:
            Predicted rates, with the bins that they belong to.

        Raises:
            DataError: If session, neurons or role are unknown.
            ShapeError: If the frames have another size.

        Example:
            >>> encoder.predict(recording).rates.shape[1]
            6
        """
        session = self.session(recording)
        if targets is None:
            targets = self.targets(recording, role)
        rates = predict_windows(self.encoder, self.tensors(recording), targets)
        return Prediction(recording.session_id, targets, rates.cpu().numpy(), session.unit_ids)


def _check_training_bins(recording: Recording, split: Split, fitted: np.ndarray) -> None:
    """Refuse a split whose training bins are not those of the fit: test bins may have trained."""
    mean = recording.mean_response(split.bins("train")).astype(np.float32)
    tolerance = 1e-4 * np.maximum(np.abs(fitted), recording.responses.std())
    if (np.abs(mean - fitted) > tolerance).any():  # NaN, without the data of the fit, is not
        raise DataError(
            f"session {recording.session_id!r}: the training bins of the fit are not those of its "
            f"split {split.method!r} now, as responses changed or an older freegaze split it "
            "differently (repeated stimuli, trials); fit again on the recording to be used"
        )
