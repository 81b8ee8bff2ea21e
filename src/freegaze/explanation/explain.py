"""Explain a run: put each session before every explainer, and keep what they find."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from freegaze.explanation.behaving import (
    gaze_shift_table,
    saliency,
    saliency_table,
    tuning_table,
)
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.contributions import Contributing, contribution_tables
from freegaze.explanation.fields import fields
from freegaze.explanation.result import METHODS, SessionExplanation
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.storage import (
    load_explanation,
    save_explanation,
    session_folder,
    settings_of,
)
from freegaze.files.pieces import Arrays, Pieces
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.callables import undisturbed
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.runs.run_folder import recording_checksum


def explain(
    encoder: FittedEncoder,
    recording: Recording,
    run_folder: Path | str,
    config: ExplainConfig | None = None,
    progress: Progress | None = None,
) -> SessionExplanation:
    """Find receptive fields, saliency, tuning and contributions of a session's neurons.

    What is found is kept neuron by neuron in the run's folder: a stopped explanation goes on where
    it was, and a finished one is read.

    Args:
        encoder: The fitted encoder.
        recording: A session that it was fitted on.
        run_folder: The run.
        config: How; by default the protocol of ``docs/reference/looking_inside.md``.
        progress: Told of every step.

    Returns:
        The explanation, which is also on disk, see ``freegaze.explanation.storage``.

    Raises:
        DataError: If the session was not fitted, or the disk refuses.

    Example:
        >>> encoder = freegaze.load_encoder("runs/demo")  # doctest: +SKIP
        >>> explain(encoder, recording, "runs/demo").neurons["class"]  # doctest: +SKIP
    """
    config = config or ExplainConfig()
    settings = {
        **config.model_dump(mode="json"),
        "version": version("freegaze"),
        "fingerprint": _fingerprint(encoder, recording),
    }
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    pieces = Pieces(session_folder(run_folder, recording.session_id) / "pieces" / mark)
    if settings_of(run_folder, recording.session_id) == settings:
        pieces.remove()  # a process that was killed at the very end left them
        return load_explanation(run_folder, recording.session_id)
    work = _Work(encoder, recording, config, pieces, progress or (lambda *_: None))
    explanation = work.run()
    save_explanation(run_folder, explanation, settings)
    pieces.remove()
    return explanation


class _Work:
    """The steps of one session's explanation."""

    def __init__(
        self,
        encoder: FittedEncoder,
        recording: Recording,
        config: ExplainConfig,
        pieces: Pieces,
        progress: Progress,
    ) -> None:
        self.session = ExplainedSession(encoder, recording)
        self.config, self.pieces, self.progress = config, pieces, progress
        self.n_neurons = self.session.recording.n_neurons
        self.looks = encoder.encoder.inputs in ("video", "both")

    def run(self) -> SessionExplanation:
        session, recording = self.session, self.session.recording
        found = self._fields()
        neurons, contributions = self._contributions(found)
        self.progress("saliency", 0, 1)
        derivatives = self.pieces.get("saliency", lambda: saliency(session, self.config))
        self.progress("tuning", 0, 1)
        with undisturbed(session.encoder):  # whatever mode it came in
            prediction = session.encoder.predict(recording, targets=session.targets["test"])
        return SessionExplanation(
            session_id=recording.session_id,
            unit_ids=recording.unit_ids,
            bin_width_s=recording.bin_width_s,
            lag=session.lag,
            deg_per_px=recording.deg_per_px,
            fields={m: found[m]["field"] for m in METHODS if m in found},
            pairs={m: found[m]["pair"] for m in METHODS if m in found and "pair" in found[m]},
            neurons=neurons,
            receptive_fields=self._describe(found, neurons["is_invariant"].to_numpy()),
            saliency=saliency_table(session, derivatives),
            contributions=contributions,
            tuning=tuning_table(session, prediction),
            gaze_shifts=gaze_shift_table(session, prediction),
        )

    def _fields(self) -> dict[str, Arrays]:
        found: dict[str, Arrays] = {}
        if self.looks:
            self.progress("gradients", 0, 1)
            found["gradient"] = self.pieces.get(
                "gradient", lambda: fields.gradients(self.session, self.config)
            )
            norm = fields.typical_norm(self.session, self.config)
            ends = self._by_neuron(
                "ascent", lambda n: fields.ascents(self.session, self.config, n, norm)
            )
            found["ascent"] = {key: np.stack([end[key] for end in ends]) for key in ends[0]}
        self.progress(METHODS["gabor"], 0, 1)
        found["gabor"] = self.pieces.get(
            "gabor", lambda: fields.gabor_models(self.session, self._drive())
        )
        for method, find in fields.SESSION_WIDE.items():
            self.progress(METHODS[method], 0, 1)
            found[method] = self.pieces.get(method, lambda find=find: find(self.session))
        return found

    def _drive(self) -> np.ndarray:
        """Return the visual drive in every window, computed once."""
        self.progress("visual drive", 0, 1)
        return self.pieces.get("drive", lambda: {"drive": self.session.visual_drive()})["drive"]

    def _contributions(self, found: dict[str, Arrays]) -> tuple[pd.DataFrame, pd.DataFrame]:
        source = Contributing(self.session, self._drive())
        numbers = self._by_neuron("contribution", lambda n: source.neuron(n, self.config))
        contributions, about = contribution_tables(self.session, numbers, self.config)
        gradient = found.get("gradient", {})
        invariance = gradient.get("invariance", np.full(self.n_neurons, np.nan))
        first = {
            "unit_id": list(self.session.recording.unit_ids),
            "invariance": invariance,
            "is_invariant": fields.is_invariant(invariance),
        }
        return pd.concat([pd.DataFrame(first), about], axis=1), contributions

    def _describe(self, found: dict[str, Arrays], is_invariant: np.ndarray) -> pd.DataFrame:
        recording = self.session.recording
        shown = [method for method in METHODS if method in found]

        def rows(neuron: int) -> Arrays:
            kept = {}
            for method in shown:
                pair = found[method].get("pair")
                is_pair = found[method].get("is_energy", is_invariant)  # models know their own kind
                row = fields.describe_field(
                    found[method]["field"][neuron],
                    None if pair is None else pair[neuron],
                    bool(is_pair[neuron]),
                    self.session.lag,
                    recording.bin_width_s,
                    recording.deg_per_px,
                )
                kept |= {f"{method}/{key}": np.array(value) for key, value in row.items()}
            return kept

        table = []
        described = self._by_neuron("gabor", rows)
        for unit, kept in zip(recording.unit_ids, described, strict=True):
            for method in shown:
                start = f"{method}/"
                row = {
                    k.removeprefix(start): float(v) for k, v in kept.items() if k.startswith(start)
                }
                table.append({"unit_id": unit, "method": method, **row})
        return fields.field_table(table, recording.deg_per_px)

    def _by_neuron(self, name: str, compute: Callable[[int], Arrays]) -> list[Arrays]:
        kept = []
        for neuron in range(self.n_neurons):
            kept.append(self.pieces.get(f"{name}_{neuron:04d}", lambda n=neuron: compute(n)))
            self.progress(name, neuron + 1, self.n_neurons)
        return kept


def _fingerprint(encoder: FittedEncoder, recording: Recording) -> str:
    """Return a checksum of the weights and the data, on which everything depends."""
    digest = hashlib.sha256(recording_checksum(recording).encode())
    for name, tensor in encoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
