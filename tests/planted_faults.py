"""Do the tests catch faults? Plants 20 of them, one at a time, in a copy of the source.

    python tests/planted_faults.py            # all; prints which were caught
    python tests/planted_faults.py 3 7        # some

Each fault is one exact replacement and the tests that should notice. The checkout itself is never
touched. Fails when fewer than 18 are caught, or when a fault no longer applies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MUST_CATCH = 18


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
        "recording/windows.py",
        "return targets[:, None] + np.arange(-lag - history + 1, -lag + 1)",
        "return targets[:, None] + np.arange(-lag - history + 2, -lag + 2)",
        "tests/unit/test_recording_splits.py",
    ),
    Fault(
        "batches start one bin too late",
        "recording/batches.py",
        "start = first - self.lag - self.history + 1",
        "start = first - self.lag - self.history + 2",
        "tests/unit/test_recording_batches.py tests/golden/test_golden_dataset.py",
    ),
    Fault(
        "standardization looks at all bins",
        "recording/behavior.py",
        "nan_policy, derivative)[training_bins]",
        "nan_policy, derivative)",
        "tests/unit/test_recording_features.py",
    ),
    Fault(
        "video scaling looks at all bins",
        "recording/batches.py",
        "for part in np.array_split(training_bins,",
        "for part in np.array_split(np.arange(recording.n_bins),",
        "tests/unit/test_recording_batches.py",
    ),
    Fault(
        "the gap keeps nothing away",
        "recording/splits.py",
        "(distance <= gap)",
        "(distance < 0)",
        "tests/unit/test_recording_splits.py",
    ),
    Fault(
        "derivatives run across segments",
        "recording/behavior.py",
        "slope = np.diff(x, prepend=x[:1]) / bin_width_s",
        "slope = np.diff(x, prepend=0.0) / bin_width_s",
        "tests/unit/test_recording_features.py",
    ),
    Fault(
        "neurons are chosen with test bins",
        "recording/recording.py",
        "counts = recording.responses[training_bins].mean(0, dtype=np.float64)",
        "counts = recording.responses.mean(0, dtype=np.float64)",
        "tests/unit/test_recording_recording.py",
    ),
    Fault(
        "the shifter turns the other way",
        "nn/warp.py",
        "bottom = torch.stack([-sin * (half_x / half_y), cos, offset_y / half_y], dim=1)",
        "bottom = torch.stack([sin * (half_x / half_y), cos, offset_y / half_y], dim=1)",
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
        "if validation < self.state.best_loss:",
        "if True:",
        "tests/unit/test_training_fit.py",
    ),
    Fault(
        "files are written in place",
        "training/checkpoint.py",
        'partial = path.with_name(path.name + ".partial")',
        "partial = path",
        "tests/unit/test_training_fit.py",
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
        "training/sessions.py",
        'training = self.recording.responses[self.split.bins("train")]',
        "training = self.recording.responses",
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
        "sources/xu2023_layout.py",
        "for k in range(n_segments) for split in SPLITS]",
        "for split in SPLITS for k in range(n_segments)]",
        "tests/golden tests/unit/test_sources_xu2023.py",
    ),
)


def main() -> None:
    """Plant each fault, run its tests, and report."""
    numbers = [int(word) for word in sys.argv[1:]] or range(1, len(FAULTS) + 1)
    caught = [plant(number, FAULTS[number - 1]) for number in numbers]
    print(f"caught {sum(caught)} of {len(caught)}")
    if sum(caught) < min(MUST_CATCH, len(caught)):
        sys.exit(1)


def plant(number: int, fault: Fault) -> bool:
    """Run a fault's tests on a copy of the checkout that has it; return whether one failed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests", "pyproject.toml"):
            place = ROOT / part
            (shutil.copytree if place.is_dir() else shutil.copy)(place, copy / part)
        path = copy / "src" / "freegaze" / fault.file
        text = path.read_text()
        if text.count(fault.before) != 1:
            sys.exit(f"fault {number} no longer applies to {fault.file}: {fault.before!r}")
        path.write_text(text.replace(fault.before, fault.after))
        # The copy comes before the installed checkout on the path.
        environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m"]
        command += ["not slow", *fault.tests.split()]
        result = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
    verdict = {0: "MISSED", 1: "caught"}.get(result.returncode)
    if verdict is None:
        sys.exit(f"fault {number}: the tests could not run\n{result.stdout[-2000:]}")
    print(f"{number:2d} {verdict}  {fault.what}", flush=True)
    return verdict == "caught"


if __name__ == "__main__":
    main()
