"""Do the tests catch faults? Plants 50 of them, one at a time, in a copy of the source.

    python tests/planted_faults.py            # all; prints which were caught
    python tests/planted_faults.py 3 7        # some

Each fault is one exact replacement and the tests that should notice. The checkout itself is never
touched. Fails when fewer than nine in ten are caught, when a fault no longer applies, or when the
tests fail without any fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "freegaze"
MUST_CATCH = 0.9
"""Share of the faults that the tests must catch."""


class Fault(NamedTuple):
    """What is planted where, and who should notice."""

    what: str
    file: str
    before: str
    after: str
    tests: str


FAULTS = (
    Fault(
        "windows read one bin too late",
        "dataset/windows.py",
        "return targets[:, None] + np.arange(-lag - history + 1, -lag + 1)",
        "return targets[:, None] + np.arange(-lag - history + 2, -lag + 2)",
        "tests/unit/test_dataset_splits.py",
    ),
    Fault(
        "batches start one bin too late",
        "dataset/batches.py",
        "start = first - self.lag - self.history + 1",
        "start = first - self.lag - self.history + 2",
        "tests/unit/test_dataset_batches.py tests/golden/test_golden_dataset.py",
    ),
    Fault(
        "standardization looks at all bins",
        "dataset/behavior.py",
        "nan_policy, derivative)[training_bins]",
        "nan_policy, derivative)",
        "tests/unit/test_dataset_features.py",
    ),
    Fault(
        "video scaling looks at all bins",
        "dataset/batches.py",
        "for video in _video_parts(recording, training_bins):",
        "for video in _video_parts(recording, np.arange(recording.n_bins)):",
        "tests/unit/test_dataset_batches.py",
    ),
    Fault(
        "the gap keeps nothing away",
        "dataset/splits.py",
        "(distance <= gap)",
        "(distance < 0)",
        "tests/unit/test_dataset_splits.py",
    ),
    Fault(
        "derivatives run across segments",
        "dataset/behavior.py",
        "slope = np.diff(x, prepend=x[:1]) / bin_width_s",
        "slope = np.diff(x, prepend=0.0) / bin_width_s",
        "tests/unit/test_dataset_features.py",
    ),
    Fault(
        "neurons are chosen with test bins",
        "recording/recording.py",
        "rates_hz = recording.mean_response(training_bins) / recording.bin_width_s",
        "rates_hz = recording.responses.mean(0) / recording.bin_width_s",
        "tests/unit/test_recording_recording.py",
    ),
    Fault(
        "the shifter turns the other way",
        "nn/warp.py",
        "y = (cos * down + offset_y / half_y) - sin * (half_x / half_y) * across",
        "y = (cos * down + offset_y / half_y) + sin * (half_x / half_y) * across",
        "tests/unit/test_nn_warp.py tests/golden/test_golden_models.py",
    ),
    Fault(
        "x and y limits of the shifter change places",
        "nn/shifter.py",
        "limits=(self.max_shift[0] * width, self.max_shift[1] * height, self.max_angle_deg),",
        "limits=(self.max_shift[1] * height, self.max_shift[0] * width, self.max_angle_deg),",
        "tests/unit/test_nn_shifter.py tests/golden/test_golden_models.py",
    ),
    Fault(
        "the recurrent unit reads the window backwards",
        "nn/recurrent.py",
        "for now in from_inputs.unbind(1):",
        "for now in reversed(from_inputs.unbind(1)):",
        "tests/golden/test_golden_models.py tests/unit/test_nn_heads.py",
    ),
    Fault(
        "dropout stays on in evaluation",
        "nn/cores.py",
        "probability = self.dropout if self.training else 0.0",
        "probability = self.dropout",
        "tests/golden/test_golden_models.py",
    ),
    Fault(
        "vision is added to instead of multiplied by behavior",
        "models/cnn_gru.py",
        "vision * states[-1]",
        "vision + states[-1]",
        "tests/golden/test_golden_models.py tests/unit/test_models_encoders.py",
    ),
    Fault(
        "the Poisson loss has the wrong sign",
        "training/losses.py",
        "return (rate - response * torch.log(rate + EPSILON)).mean()",
        "return (rate + response * torch.log(rate + EPSILON)).mean()",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "a resumed fit repeats a step",
        "training/loop.py",
        "self.state.step = step + 1",
        "self.state.step = step",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "the last weights are kept instead of the best",
        "training/loop.py",
        "if not self.best or monitored < self.state.best:",
        "if True:",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "files are written in place",
        "files/atomic.py",
        "partial = folder / target.name",
        "partial = target",
        "tests/unit/test_training_fit.py tests/unit/test_files_artifact.py",
    ),
    Fault(
        "smoothing crosses segments",
        "metrics/correlation.py",
        "low = np.maximum(time - width_bins // 2, first[run])",
        "low = np.maximum(time - width_bins // 2, 0)",
        "tests/unit/test_metrics_correlation.py tests/property/test_metrics_properties.py",
    ),
    Fault(
        "baselines look at all bins",
        "dataset/sessions.py",
        'return self.recording.mean_response(self.split.bins("train")).astype(np.float32)',
        "return self.recording.responses.mean(0).astype(np.float32)",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "displacements are turned the wrong way before comparing",
        "evaluation/displacement.py",
        "np.array([[cos, sin], [-sin, cos]])",
        "np.array([[cos, -sin], [sin, cos]])",
        "tests/unit/test_evaluation_displacement.py",
    ),
    Fault(
        "segments of the original's layout are read in the wrong order",
        "sources/xu2023/layout.py",
        "for k in range(n_segments) for split in SPLITS]",
        "for split in SPLITS for k in range(n_segments)]",
        "tests/golden tests/unit/test_sources_xu2023.py",
    ),
    Fault(
        "lost tracking is filled across segments",
        "dataset/behavior.py",
        "part = slice(segment.start, segment.stop)",
        "part = slice(0, recording.n_bins)",
        "tests/unit/test_dataset_features.py",
    ),
    Fault(
        "behavior columns change places",
        "dataset/behavior.py",
        "place = {name: i for i, name in enumerate(self.signal_names)}",
        "place = {name: i for i, name in enumerate(sorted(self.signal_names))}",
        "tests/unit/test_dataset_features.py tests/unit/test_dataset_batches.py",
    ),
    Fault(
        "targets are one bin early",
        "dataset/batches.py",
        "self.responses[targets],",
        "self.responses[targets - 1],",
        "tests/unit/test_dataset_batches.py tests/golden/test_golden_dataset.py",
    ),
    Fault(
        "segments of an array file are not cut where the role changes",
        "sources/arrays/layout.py",
        "is_new |= (roles[1:] != roles[:-1]) | (flags[1:] != flags[:-1])",
        "is_new |= flags[1:] != flags[:-1]",
        "tests/unit/test_sources_arrays.py",
    ),
    Fault(
        "the original's own list keeps what it drops",
        "sources/xu2023/source.py",
        "np.setdiff1d(np.arange(n_units), dropped)",
        "np.asarray(dropped)",
        "tests/unit/test_sources_xu2023.py tests/golden/test_golden_sources.py",
    ),
    Fault(
        "shifts in x and y change places",
        "nn/warp.py",
        "from_x, from_y = half_x - center[0] - dx, half_y - center[1] - dy",
        "from_x, from_y = half_x - center[0] - dy, half_y - center[1] - dx",
        "tests/unit/test_nn_warp.py",
    ),
    Fault(
        "the recurrent unit forgets what it should keep",
        "nn/recurrent.py",
        "torch.lerp(new, hidden, keep)",
        "torch.lerp(hidden, new, keep)",
        "tests/unit/test_nn_heads.py",
    ),
    Fault(
        "kernels start with the oldest bin",
        "nn/temporal.py",
        "torch.tensor(START[:history]).flip(0)",
        "torch.tensor(START[:history])",
        "tests/unit/test_nn_heads.py tests/contract/test_models_contract.py",
    ),
    Fault(
        "smoothness counts height twice and time never",
        "nn/penalties.py",
        "return total + fields.diff(dim=0).square()",
        "return total + fields.diff(dim=2).square()",
        "tests/unit/test_nn_heads.py",
    ),
    Fault(
        "a resumed fit draws other dropout",
        "training/loop.py",
        "torch.manual_seed(int(_seeds(self.config.seed, 1, number, *([part] if part else []))))",
        "torch.manual_seed(self.config.seed) if number == 0 else None",
        "tests/unit/test_training_fit.py tests/unit/test_training_options.py",
    ),
    Fault(
        "every pass repeats the first pass's dropout and learning rate",
        "training/loop.py",
        "number = self.state.passes * n_steps + step",
        "number = step",
        "tests/unit/test_training_fit.py tests/unit/test_training_options.py",
    ),
    Fault(
        "a resumed fit forgets its optimizer",
        "training/fit_tensors.py",
        "optimizer.load_state_dict(state)",
        "pass",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "losses of a pass under way are lost when it is resumed",
        "training/loop.py",
        "self.state.sums = self.sharing.sums({k: float(v) for k, v in sums.items()})",
        "self.state.sums = {}",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "bits per spike are nats",
        "metrics/likelihood.py",
        "return gain_nats / np.log(2), counts",
        "return gain_nats, counts",
        "tests/unit/test_metrics_likelihood.py",
    ),
    Fault(
        "bits per spike have their baseline from the test",
        "evaluation/evaluate.py",
        "encoder.mean_response(recording),",
        "recording.responses[encoder.targets(recording, role)].mean(0),",
        "tests/unit/test_evaluation_evaluate.py",
    ),
    Fault(
        "blocks of the bootstrap are too short",
        "metrics/blocks.py",
        "block_bins = max(shortest, len(segment_ids) // n_wanted)",
        "block_bins = max(1, shortest // 10)",
        "tests/unit/test_metrics_blocks.py",
    ),
    Fault(
        "time shifts run across segments",
        "metrics/nulls.py",
        "for first, stop in zip(*run_bounds(segment_ids), strict=True):",
        "for first, stop in [(0, len(segment_ids))]:",
        "tests/unit/test_metrics_nulls.py",
    ),
    Fault(
        "groups are selected at the rate of neurons",
        "explanation/contributions/selection.py",
        "within = rate * selected.sum() / max(1, int(np.isfinite(any_p).sum()))",
        "within = rate",
        "tests/unit/test_explanation_contributions_selection.py",
    ),
    Fault(
        "groups that cannot be separated are tested apart",
        "explanation/contributions/groups.py",
        "return bool((left <= 1 - COLLINEAR).all())",
        "return False",
        "tests/unit/test_explanation_contributions.py",
    ),
    Fault(
        "shuffled trials may stay in place",
        "metrics/nulls.py",
        "if (order != np.arange(n)).all():",
        "if len(order):",
        "tests/unit/test_metrics_nulls.py",
    ),
    Fault(
        "drifts over trials count for predictions",
        "metrics/alignment_tests.py",
        "return min(TRIAL_ORDER, max(1, n_trials // 10))",
        "return 0",
        "tests/unit/test_metrics_alignment_tests.py",
    ),
    Fault(
        "noise is the variance over time",
        "metrics/ceilings.py",
        "residual = observed - _group_means(observed, index, counts)[index]",
        "residual = observed - observed.mean(0)",
        "tests/unit/test_metrics_ceilings.py",
    ),
    Fault(
        "differences have the wrong sign",
        "metrics/comparison.py",
        "return a.mean(-2) - b.mean(-2)",
        "return b.mean(-2) - a.mean(-2)",
        "tests/unit/test_metrics_comparison.py",
    ),
    Fault(
        "bins count as tracked though their window is not",
        "evaluation/scored_session.py",
        "return np.logical_and.reduce(is_tracked[input_bins(targets, history, lag)], axis=1)",
        "return is_tracked[targets]",
        "tests/unit/test_evaluation_evaluate.py",
    ),
    Fault(
        "neurons are taken in the recording's order",
        "fitted/encoder.py",
        "recording.select_neurons([place[unit] for unit in wanted])",
        "recording.select_neurons(sorted(place[unit] for unit in wanted))",
        "tests/unit/test_fitted_encoder.py",
    ),
    Fault(
        "compared runs are laid side by side by position",
        "evaluation/shared_sessions.py",
        "rows = np.searchsorted(session.targets, bins)",
        "rows = np.arange(len(bins))",
        "tests/unit/test_evaluation_compare.py",
    ),
    Fault(
        "the attainable rate looks at all bins",
        "simulation/attainable.py",
        "guess, true = raw[train], oracle[train]",
        "guess, true = raw, oracle",
        "tests/unit/test_simulation_session.py",
    ),
    Fault(
        "gaze moves the picture the other way",
        "simulation/retina.py",
        "x, y = (theta_deg - REST_THETA_DEG) / scale_deg,",
        "x, y = (REST_THETA_DEG - theta_deg) / scale_deg,",
        "tests/unit/test_simulation_retina.py",
    ),
    Fault(
        "neurons see the future",
        "simulation/rates.py",
        "start = n_taps - 1 - lag",
        "start = lag",
        "tests/unit/test_simulation_neurons.py",
    ),
    Fault(
        "eyes turn against the wrong axis",
        "simulation/rotation.py",
        "matrix[..., second, first] = np.sin(angle)",
        "matrix[..., second, first] = -np.sin(angle)",
        "tests/unit/test_simulation_rotation.py",
    ),
    Fault(
        "validation is cut from the front of a stretch",
        "dataset/splits.py",
        'codes[segment.start + n_train : segment.stop] = ROLES.index("validation")',
        'codes[segment.start : segment.stop - n_train] = ROLES.index("validation")',
        "tests/unit/test_dataset_splits.py",
    ),
    Fault(
        "Gaussian loss weighs by all bins",
        "training/loop.py",
        "return choose_loss(self.config.loss, kind, responses, training)",
        "return choose_loss(self.config.loss, kind, responses, torch.arange(len(responses)))",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "the eye-gyro lag has the wrong sign",
        "quality/eye_gyroscope.py",
        "x, y = eye[t + lag], gyro[t]",
        "x, y = eye[t], gyro[t + lag]",
        "tests/unit/test_quality_checks.py",
    ),
)


def main() -> None:
    """Plant each fault, run its tests, and report."""
    numbers = [int(word) for word in sys.argv[1:]] or range(1, len(FAULTS) + 1)
    faults = {number: FAULTS[number - 1] for number in numbers}
    passing = sorted({path for fault in faults.values() for path in fault.tests.split()})
    if not _pass({}, passing):
        sys.exit("the tests fail without any fault; mend that first")
    caught = {number: plant(number, fault) for number, fault in faults.items()}
    print(f"caught {sum(caught.values())} of {len(caught)}")
    if sum(caught.values()) < MUST_CATCH * len(caught):
        sys.exit(1)


def plant(number: int, fault: Fault) -> bool:
    """Run a fault's tests on a copy of the checkout that has it; return whether one failed."""
    text = (SOURCE / fault.file).read_text()
    if text.count(fault.before) != 1:
        sys.exit(f"fault {number} no longer applies to {fault.file}: {fault.before!r}")
    changed = {f"src/freegaze/{fault.file}": text.replace(fault.before, fault.after)}
    is_caught = not _pass(changed, fault.tests.split())
    print(f"{number:2d} {'caught' if is_caught else 'MISSED'}  {fault.what}", flush=True)
    return is_caught


def _pass(changed: Mapping[str, str], tests: Sequence[str]) -> bool:
    result = run_copy(changed, tests)
    if result.returncode not in (0, 1):
        sys.exit(f"the tests could not run\n{result.stdout[-2000:]}")
    return result.returncode == 0


def run_copy(
    changed: Mapping[str, str], arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run pytest on a copy of the checkout in which some files are others.

    Args:
        changed: Content of each file by its path in the checkout.
        arguments: Tests to run, and options of pytest.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests", "docs", "pyproject.toml"):
            place = ROOT / part
            (shutil.copytree if place.is_dir() else shutil.copy)(place, copy / part)
        for name, text in changed.items():
            (copy / name).write_text(text)
        # The copy comes before the installed checkout on the path.
        environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
        where = "import freegaze; print(freegaze.__file__)"
        found = subprocess.check_output([sys.executable, "-c", where], env=environment, text=True)
        assert copy in Path(found.strip()).parents, f"{found} would be tested, not {copy}"
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m"]
        command += ["not slow", *arguments]
        return subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )


if __name__ == "__main__":
    main()
