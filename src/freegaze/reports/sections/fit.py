"""Section of the report: encoder, data and provenance of the fit."""

from __future__ import annotations

from typing import Any

from freegaze.config import dump_yaml
from freegaze.dataset.splits import ROLES
from freegaze.recording.recording import Recording
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.page import Section
from freegaze.reports.wording import count, duration, listing, number


def build_fit(inputs: ReportInputs) -> Section:
    """Describe sessions, model, configuration, versions and checksums."""
    config, manifest = inputs.run.config(), inputs.run.manifest()
    names = list(inputs.encoder.behavior_names)
    reads = {
        "video": "video",
        "behavior": "behavior",
        "both": "video and behavior",
        "none": "no input",
    }[inputs.encoder.encoder.inputs]
    history_ms = inputs.encoder.data.history * inputs.recordings[0].bin_width_s * 1000
    lead = (
        f"The model {inputs.encoder.model_name} reads {reads} in windows of "
        f"{count(inputs.encoder.data.history, 'bin')} ({history_ms:.0f} ms) and predicts the "
        "response of every neuron in the bin that follows."
    )
    return Section(
        "fit",
        "What was fitted",
        {
            "lead": lead,
            "sessions": [_describe_session(inputs, r) for r in inputs.recordings],
            "run": [
                ("model", inputs.encoder.model_name),
                ("behavior", listing(names, most=12) if names else "none"),
                ("weights", f"{_n_weights(inputs):,}"),
                ("seed", str(config.training.seed)),
                ("folder", inputs.run.path.name),
                ("configuration", str(manifest.get("config_hash", "unknown"))),
                ("commit", str(manifest.get("commit") or "installed package")[:12]),
                ("machine", str(manifest.get("machine", "unknown"))),
            ],
            "checksums": list(manifest.get("data", {}).items()),
            "versions": [
                ("python", manifest.get("python", "unknown")),
                *manifest.get("packages", {}).items(),
            ],
            "configuration": dump_yaml(config),
        },
    )


def _describe_session(inputs: ReportInputs, recording: Recording) -> dict[str, Any]:
    fitted = inputs.encoder.session(recording)
    split = inputs.encoder.split(recording)
    shares = [
        f"{duration(len(split.bins(role)) * recording.bin_width_s)} {word}"
        for role, word in zip(ROLES, ("training", "validation", "test"), strict=True)
    ]
    height, width = recording.frame_size
    scale = "" if recording.deg_per_px is None else f", {number(recording.deg_per_px)}°/px"
    facts = [
        ("length", f"{duration(recording.duration_s)} in {_segments(recording)}"),
        ("split", ", ".join(shares)),
        ("neurons", f"{len(fitted.unit_ids)} fitted of {recording.n_neurons} recorded"),
        ("responses", recording.response_kind.value.replace("_", " ")),
        ("bins", f"{recording.bin_width_s * 1000:.4g} ms"),
        ("video", f"{width} × {height} px{scale}"),
        ("behavior", listing(list(recording.behavior_names), most=12) or "none"),
    ]
    facts += [
        (key, str(recording.provenance[key]))
        for key in ("source", "citation")
        if recording.provenance.get(key)
    ]
    return {"name": recording.session_id, "facts": facts}


def _segments(recording: Recording) -> str:
    n_trials = sum(segment.trial for segment in recording.segments)
    if n_trials == len(recording.segments):
        return count(n_trials, "trial")
    return count(len(recording.segments), "segment")


def _n_weights(inputs: ReportInputs) -> int:
    return sum(weight.numel() for weight in inputs.encoder.encoder.parameters())
