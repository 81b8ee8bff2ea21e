"""Statements of two versions of the package: kept, gone, and new, the new ones by feature.

    git worktree add ../old 9655ccf
    python benchmarks/statements.py ../old/src src

A statement is a node of the syntax tree; docstrings do not count. It is kept if the old version has
the same statement anywhere. New statements of the files and functions in ``FEATURES`` belong to a
new feature. All other new statements replace old code, so that "code that existed" is the number of
kept and of replacing statements. A renamed variable or a reworded message makes a statement new.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FEATURES = {
    "explorer": (
        *("view/", "cli/view.py", "evaluation/timeline.py"),
        *("files/npz.py:NpzReader.rows", "evaluation/evaluate.py:_score_with"),
    ),
    "intervals of dependent blocks": ("metrics/block_dependence.py",),
    "whether an encoder follows trials": ("evaluation/trial_to_trial.py",),
    "windows and calibrated gaze of networks": (
        *("models/parts/gaze.py:GazeCorrection.start_from_camera", "nn/window.py"),
        *(
            "models/parts/gaze.py:GazeCorrection.in_window",
            "models/cnn_gru.py:CNNGRUHead.start_from",
        ),
    ),
    "refit on training and validation": ("training/loop.py:Fit._finish_refit_pass",),
    "correlations without noise": ("metrics/ceilings.py:correlation_without_noise",),
    "cite": ("cli/cite.py", "runs/citations.py"),
    "verdict and terms of the report": (*("reports/verdict.py", "reports/sections/glossary.py"),),
    "figures for notebooks": ("plot.py", "__init__.pyi", "reports/inputs.py:matching_column"),
    "claims on network file systems": ("files/claims.py", "files/owners.py"),
    "sweeps": (
        *("studies/sweep", "cli/sweep.py", "reports/figures/sweep.py"),
        *("training/search.py", "cli/engines.py"),
    ),
    "trackers": ("training/tracking.py",),
    "explanations in parts": ("explanation/shares.py", "cli/explain.py:_run_parts"),
    "joint fits whose sessions processes share": ("training/sharing.py",),
    "watch": ("jobs/looking.py", "cli/watch.py"),
    "array jobs of SLURM": (
        *("jobs/slurm.py", "jobs/states.py", "jobs/records.py", "jobs/stopping.py"),
        "jobs/fits.py:_work_on",
    ),
    "bench of encoders": ("studies/", "cli/bench.py"),
    "cross-validation, controls, multiplicity": (
        *("evaluation/fold_scores.py", "evaluation/controls.py", "evaluation/multiplicity.py"),
        *("metrics/false_discovery.py", "explanation/stability.py"),
        *("reports/explained.py:reliability_of", "reports/sections/fields.py:_mark"),
    ),
    "splits by stimulus": (
        *("dataset/stimuli.py", "dataset/splits.py", "evaluation/evaluation.py:_once_or_each"),
        *(
            "evaluation/evaluation.py:Evaluation.seen_text",
            "fitted/encoder.py:_check_training_bins",
        ),
    ),
    "circular columns": (
        *("dataset/behavior.py:_period", "dataset/behavior.py:_unwrap"),
        *("dataset/behavior.py:_column", "dataset/behavior.py:_fill_angle"),
        "dataset/features.py:unroll_circular",
    ),
    "xarray": (
        *("evaluation/xarray_objects.py", "fitted/xarray_objects.py"),
        *(
            "fitted/encoder.py:Prediction.to_xarray",
            "evaluation/evaluation.py:Evaluation.to_xarray",
        ),
        "evaluation/scored_session.py:ScoredSession.to_xarray",
    ),
    "encoder local_energy": (
        *("models/parts/energy_", "models/local_energy.py", "nn/local_energies.py"),
        *("nn/fold_ridge.py", "nn/gained_response.py", "dataset/folds.py"),
        *("training/loop.py:Fit._solve", "reports/sections/scores.py:_warnings"),
    ),
    "encoder blend": (
        *("models/blend.py", "runs/blends.py", "training/completion.py"),
        *("models/local_energy.py:LocalEnergy.take_window", "models/encoder.py:HeldOut"),
        "models/encoder.py:AbstractEncoder.complete",
    ),
    "averaged seeds, cores of other runs": (
        *("models/averaged.py", "training/transfer.py", "training/fit.py:_fit_members"),
        *("training/fit.py:_within", "training/loop.py:Fit._free_core"),
        "runs/run_folder.py:RunFolder.member",
    ),
    "selection in two steps": (
        *(
            "explanation/contributions/selection.py",
            "reports/sections/contributions.py:_any_behavior",
        ),
    ),
    "answers yes, no, not tested": (
        *("explanation/contributions/answers.py", "reports/sections/contributions.py:_counted"),
        "explanation/contributions/score_tests.py:_why_untested",
    ),
    "joint groups": (
        *("explanation/contributions/groups.py:join_collinear",),
        "explanation/contributions/groups.py:_is_explained",
    ),
    "intervals of saliency": (
        *(
            "explanation/saliency/saliency.py:mean_ends",
            "explanation/session.py:ExplainedSession.blocks",
        ),
    ),
    "tests of saliency": (
        *("explanation/saliency/significance.py", "reports/sections/saliency.py:_answers"),
        *("reports/sections/saliency.py:_in_words", "metrics/alignment_tests.py:longest_shift"),
        "explanation/contributions/regression.py:signal_test",
        "explanation/session.py:ExplainedSession.rates_without",
    ),
    "intervals with reasons": (
        *("metrics/intervals.py:_refuse", "metrics/intervals.py:_largest_share"),
        *("metrics/blocks.py:TimeBlocks.n_varying", "evaluation/neuron_scores.py:_join_reasons"),
    ),
    "readout pooled": ("nn/pooled.py",),
    "pynapple": (
        *("recording/pynapple_objects.py", "recording/recording.py:Recording.to_pynapple"),
        "recording/recording.py:Recording.from_pynapple",
    ),
    "units": ("recording/units.py",),
    "plausible values and times": (
        *(
            "quality/plausibility.py",
            "quality/sentinels.py",
            "reports/figures/quality.py:draw_streams",
        ),
        "reports/sections/quality.py:_streams",
    ),
    "checks of clocks and duplicates by responses": (
        *(
            "quality/response_lag.py",
            "quality/units.py:_unshared",
            "metrics/blocks.py:blocks_of_bins",
        ),
    ),
    "virtual mouse VM-2": (
        *("simulation/vm2/", "simulation/rotation.py:tilt_up"),
        *("simulation/tracks.py:SimulationConfig._violations_suffix",),
    ),
    "shapes of a truth": ("simulation/truth.py:_check_shapes",),
    "tests against chance": (
        *(
            "evaluation/chance.py:Chance.sentence",
            "evaluation/evaluation.py:Evaluation.chance_text",
        ),
        *("metrics/alignment_tests.py", "metrics/whitening.py"),
        *("evaluation/chance.py:_longest_shift", "metrics/nulls.py:equal_trials"),
    ),
    "sensors, clocks, lens": (
        *("sources/sensors/", "sources/lab_files/sensor", "sources/lab_files/top_view.py"),
        *("sources/lab_files/eye_points.py", "sources/lab_files/clocks.py", "quality/sensors.py"),
    ),
    "kinds of laboratory files": ("sources/lab_files/", "files/kinds.py", "sources/gray.py"),
    "plain values of pickles": ("files/plain_pickle.py",),
    "addresses without secrets": (
        *("sources/remote/addresses.py:shown_address", "sources/remote/blocks.py:_whole_address"),
        "sources/fetching/connection.py:bare_address",
    ),
    "kinds of NWB files": ("sources/nwb/",),
    "files at web addresses": ("sources/remote/",),
    "streams with gaps and gains of clocks": ("sources/alignment/",),
    "left out neurons, examples": (
        *("sources/source.py:without_neurons", "sources/source.py:write_example"),
    ),
    "compression filters": (
        *("files/hdf5.py:check_dataset", "files/hdf5.py:_undecodable"),
        *("files/hdf5.py:_added_filters", "files/hdf5.py:_filter_name"),
        *("files/hdf5.py:missing_filter", "files/hdf5.py:load_filters"),
    ),
    "code of the user's own": (
        *("plugins.py", "runs/own_code.py", "entries.py", "training/losses.py:_checked"),
        *(
            "cli/train.py:_loss_to_resume",
            "cli/train.py:_known",
            "registry.py:Registry._load_plugin",
        ),
        *("registry.py:Registry.plugins", "runs/config.py:TrainingConfig._check_loss"),
    ),
    "functions in Python": (
        *("workflow.py", "runs/recordings.py:source_of", "sources/simulation.py:simulate"),
        *("recording/recording.py:Recording.__repr__", "fitted/encoder.py:FittedEncoder.__repr__"),
        *("explanation/result.py:SessionExplanation.__repr__",),
        *("evaluation/evaluation.py:Evaluation.__repr__", "models/callables.py:rates_of"),
        *("evaluation/compare.py:Comparison.__repr__", "models/callables.py:gradients_by_neuron"),
    ),
    "settings as pages": (
        *("config_table.py", "cli/schema.py", "cli/listing.py", "cli/doctor.py:_dependencies"),
    ),
    "rows, states and duration of a grid": (
        *("paper/duration.py", "paper/result.py:state_frame", "cli/reproduce.py:_print_status"),
        *("paper/grid.py:Grid.select", "paper/grid.py:missing_sessions"),
    ),
    "parts of an explanation": (
        *("explanation/explain.py:named_parts", "explanation/explain.py:missing_parts"),
        *("explanation/explain.py:_merged", "explanation/explain.py:_compute"),
        "reports/sections/neuron.py:_missing",
    ),
    "truth in explain and report": (
        *("explanation/truth.py", "reports/figures/truth.py"),
        *("reports/sections/truth.py:_explained_panels", "reports/sections/truth.py:_tests"),
    ),
    "functions that are not differentiable": ("models/callables.py:require_derivatives",),
    "white noise": ("simulation/white_noise.py",),
    "condition mean, prediction files": (
        *("evaluation/condition_mean.py", "evaluation/prediction_files.py"),
        *("evaluation/score_predictions.py:score_beside", "evaluation/repeats.py:trial_positions"),
        "evaluation/score_predictions.py:_replace_rates",
    ),
    "paired differences in the report": (
        *("evaluation/compare.py:compare_with_baselines", "reports/sections/scores.py:_paired"),
        "reports/sections/fields.py:_opacity",
    ),
    "switch between fast and plain": (
        "nn/cores.py:set_fast",
        "nn/fast/dropout.py:",
        "nn/cores.py:ConvBlock.plain",
    ),
    "devices that are absent": ("nn/device.py",),
    "stimuli shown to encoders": (
        *("explanation/probes/", "reports/sections/probes.py", "reports/figures/probes.py"),
        "reports/neuron_data.py:_probed",
    ),
    "templates": (
        *("paper/figures/_template.py", "reports/sections/_template.py", "models/_template.py"),
        *("sources/_template.py", "metrics/_template.py"),
    ),
}
"""Beginnings of paths, and ``FILE:FUNCTION``, of features, relative to the package."""


def statements(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place of each statement of a file (FUNCTION, CLASS, CLASS.METHOD), and its text."""
    for top in ast.parse(path.read_text()).body:
        name = getattr(top, "name", "")
        if not isinstance(top, ast.ClassDef):
            yield from _within(name, top)
            continue
        yield name, _text(top)
        for part in top.body:
            yield from _within(f"{name}.{part.name}" if hasattr(part, "name") else name, part)


def _within(place: str, node: ast.stmt) -> Iterator[tuple[str, str]]:
    for part in ast.walk(node):
        if isinstance(part, ast.stmt) and not _is_docstring(part):
            yield place, _text(part)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


def _text(node: ast.stmt) -> str:
    """Return a statement without the statements within it; of an import only the names."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import " + ", ".join(alias.name for alias in node.names)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"{type(node).__name__} {node.name}"
    return ast.unparse(node).split("\n")[0]


def feature_of(file: str, function: str) -> str | None:
    """Return the feature that a new statement belongs to, ``None`` for code that existed."""
    place = f"{file}:{function}"
    for feature, places in FEATURES.items():
        if any(place == own if ":" in own else file.startswith(own) for own in places):
            return feature
    return None


def main(old: Path, new: Path) -> None:
    """Print the numbers."""
    left = Counter(text for path in old.rglob("*.py") for _, text in statements(path))
    n_old, n_kept, n_replacing = left.total(), 0, 0
    features: Counter[str] = Counter()
    for path in sorted(new.rglob("*.py")):
        file = str(path.relative_to(new))
        for function, text in statements(path):
            if left[text]:
                left[text] -= 1
                n_kept += 1
            elif feature := feature_of(file, function):
                features[feature] += 1
            else:
                n_replacing += 1
    n_new = n_kept + n_replacing + features.total()
    print(f"{n_old} statements before, {n_new} now")
    print(f"code that existed: {n_kept} kept, {left.total()} gone, {n_replacing} in their place")
    print(f"code that existed: {n_kept + n_replacing} statements now, of {n_old}")
    print(f"new features: {features.total()} statements")
    for feature, n in features.most_common():
        print(f"{n:6} {feature}")


if __name__ == "__main__":
    main(*(Path(argument) / "freegaze" for argument in sys.argv[1:3]))
