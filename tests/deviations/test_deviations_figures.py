"""Deviations Q36 to Q41: how the original drew Figures 3, 4, 5 and C1, and what we do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from figure_runs import make_behaving, make_explained, make_figure_grid, paper_fit
from freegaze.dataset.features import FEATURE_SETS
from freegaze.evaluation.compare import compare
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.fields.ascent import Ascent, ascend
from freegaze.explanation.saliency.derivatives import behavior_saliency
from freegaze.fitted.encoder import FittedEncoder
from freegaze.metrics.metric import METRICS
from freegaze.paper import ascent
from freegaze.paper.ascent import PaperAscent, lowpass, most_exciting
from freegaze.paper.classes import count_modulated, modulation
from freegaze.paper.figures.figure3 import compare_neurons
from freegaze.paper.figures.figure4 import FIRST_LIMIT, LIMIT, FieldGallery
from freegaze.paper.figures.figure5 import ContributionClasses
from freegaze.paper.figures.figurec1 import MethodGallery
from freegaze.paper.saliency import paper_saliency
from freegaze.paper.scores import correlation_smoothed

Call = tuple[np.ndarray, np.ndarray, Ascent]


@pytest.fixture(scope="module")
def encoder() -> FittedEncoder:
    return paper_fit(make_behaving())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every ascent that is made: video and behavior that it started from, and what came out."""
    seen: list[Call] = []

    def watched(predict: Any, neurons: Any, video: Any, behavior: Any, **options: Any) -> Ascent:
        found = ascend(predict, neurons, video, behavior, **options)
        seen.append((video.numpy(), behavior.numpy(), found))
        return found

    monkeypatch.setattr(ascent, "ascend", watched)
    return seen


def test_q36_behavior_starts_at_one_and_climbs_and_images_are_averaged(
    encoder: FittedEncoder, calls: list[Call]
) -> None:
    found = most_exciting(encoder, "s", 0, PaperAscent(batches=2, images=40, steps=3))
    starts = np.concatenate([video for video, _, _ in calls])
    assert starts.mean() == pytest.approx(0.5, abs=4 * 0.25 / np.sqrt(starts.size))
    assert starts.std() == pytest.approx(0.25, rel=4 / np.sqrt(2 * starts.size))
    assert all((behavior == 1).all() for _, behavior, _ in calls)
    ends = np.concatenate([own.video for _, _, own in calls])
    np.testing.assert_allclose(found.video, ends.mean(0), rtol=1e-4, atol=1e-6)
    names = encoder.behavior_names
    speed, roll, product = (
        found.behavior[0, names.index(name)] for name in ("speed", "roll", "speed*roll")
    )
    assert abs(product - speed * roll) > 0.01  # no animal can be in that state


def test_q36_pictures_are_smoothed_and_their_colors_fixed_and_ours_are_not() -> None:
    assert (FIRST_LIMIT, LIMIT) == (0.2, 0.15)
    explanation = make_explained("s", ["a", "b"])
    ours = FieldGallery().gallery(explanation, [("b", 0.5), ("a", 0.4)])
    assert np.isnan(ours.limit)
    field = explanation.picture("ascent", 1)
    np.testing.assert_array_equal(ours.pictures[0, 0], field)
    assert np.abs(lowpass(field)).max() < 0.5 * np.abs(field).max()  # a field finer than 20 px


def test_q37_behavior_is_redrawn_for_each_batch_where_ours_is_one_state(
    encoder: FittedEncoder, calls: list[Call]
) -> None:
    protocol = PaperAscent(batches=3, images=4, steps=2, is_behavior_optimized=False)
    found = most_exciting(encoder, "s", 0, protocol)
    states = [behavior for _, behavior, _ in calls]
    for _, behavior, own in calls:
        assert (behavior == behavior[:1]).all()
        np.testing.assert_array_equal(own.behavior, behavior)
    assert not np.array_equal(states[0], states[1])
    drawn = np.concatenate([s[0].ravel() for s in states])
    assert -1 <= drawn.min() < -0.9 < 0.9 < drawn.max() <= 1
    np.testing.assert_allclose(found.behavior, np.mean([s[0] for s in states], 0), rtol=1e-5)
    ours = MethodGallery().gallery(make_explained("s", ["a"]), [("a", 0.5)])
    assert ours.columns == ("ascent", "gradient", "linear")  # three ways at the same state


def by_windows(encoder: FittedEncoder, n: int | None = None) -> np.ndarray:
    """Signed mean over test windows of one backward pass each, features as inputs."""
    recording = make_behaving()
    targets = torch.from_numpy(encoder.targets(recording, "test"))[:n]
    batch = encoder.tensors(recording).gather(targets, 1)
    total = np.zeros((recording.n_neurons, len(encoder.behavior_names)))
    for w in range(len(targets)):
        behavior = batch.behavior[w : w + 1].clone().requires_grad_()
        rates = encoder(batch.video[w : w + 1], behavior)[0]
        for neuron in range(len(rates)):
            (found,) = torch.autograd.grad(rates[neuron], behavior, retain_graph=True)
            total[neuron] += found[0].sum(0).numpy()
    return total / len(targets)


def test_q38_signed_means_by_features_through_the_shifter() -> None:
    encoder = paper_fit(make_behaving(), has_dropout=False)
    found = paper_saliency(encoder, make_behaving())
    np.testing.assert_allclose(found, by_windows(encoder), rtol=1e-3, atol=1e-6)
    assert np.abs(found[:, encoder.behavior_names.index("speed*roll")]).max() > 0

    recording = make_behaving()
    targets = torch.from_numpy(encoder.targets(recording, "test"))
    tensors, transform = encoder.tensors(recording), encoder.sessions["s"].preparation.behavior
    bins = (targets - encoder.data.lag)[:, None]
    ours = behavior_saliency(
        encoder, tensors.video(bins), tensors.signals[bins], transform.signal_names,
        transform.features,
    )  # fmt: skip
    assert "speed*roll" not in ours.signals  # a product counts for what it is made of
    speed = encoder.behavior_names.index("speed"), ours.signals.index("speed")
    assert not np.allclose(found[:, speed[0]], ours.total.mean(0)[:, speed[1]], rtol=0.01)
    assert (ours.mean() >= np.abs(ours.mean("signed")) - 1e-9).all()  # signs cancel no more
    theta = ours.signals.index("theta")
    assert np.abs(ours.via_gaze[..., theta]).max() > 0  # apart from the partial derivative


def test_q38_dropout_is_on_and_ours_is_off(encoder: FittedEncoder) -> None:
    recording = make_behaving()
    first, again = (paper_saliency(encoder, recording, 20) for _ in range(2))
    other = paper_saliency(encoder, recording, 20, seed=1)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, rtol=0.01)
    assert not any(module.training for module in encoder.encoder.modules())


def test_q39_the_rule_finds_as_many_where_there_is_nothing() -> None:
    names, n = FEATURE_SETS["all_prod"], 2000
    noise = np.random.default_rng(0).normal(size=(n, len(names)))
    for scale in (1.0, 1e-9):  # of saliency that is nothing but rounding
        counts = count_modulated(modulation(scale * noise, names), np.ones(n))
        for share, expected in zip(counts["share"], counts["expected_share"], strict=True):
            assert share == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n))
    assert counts["expected_share"].round(3).tolist() == [0.317, *[0.534] * 5]
    explanation = make_explained("s", [f"unit_{i}" for i in range(4)])
    explanation.neurons["class"] = "none"  # as tests against shifted behavior say of noise
    counts = ContributionClasses().classes([explanation], [0.02]).counts.set_index("class")["n"]
    assert counts.drop("none").sum() == 0


def test_q39_numbers_of_all_and_of_good_neurons_are_kept_apart() -> None:
    saliency = np.array([[3.0], [-1.0], [-1.0], [-1.0]])
    correlation = np.array([0.1, 0.3, 0.3, 0.1])
    line = count_modulated(modulation(saliency, ("speed",)), correlation).iloc[0]
    assert (line["n_modulated"], line["n_neurons"]) == (1, 4)
    assert (line["n_modulated_good"], line["n_good"]) == (0, 2)
    assert (line["share"], line["share_good"], line["share_good_of_all"]) == (0.25, 0.0, 0.0)


def test_q40_variables_are_told_by_their_whole_names() -> None:
    names = ("th", "theta", "d_theta", "theta*d_phi", "phi")
    found = modulation(np.random.default_rng(0).normal(size=(6, 5)), names)
    assert found.variables == ("th", "theta", "phi")
    assert found.names == ("th", "theta", "d_theta", "phi")
    theta = (np.abs(found.z[:, [1, 2]]) >= 1).any(1)
    np.testing.assert_array_equal(found.is_modulated[:, 1], theta)
    signals = set(
        ContributionClasses().classes([make_explained("s", ["a"])], [0.02]).saliency["signal"]
    )
    assert {"theta", "d_theta"} <= signals  # ours by the same names


def test_q41_smoothed_correlations_and_wilcoxon_or_single_bins_and_blocks(tmp_path: Path) -> None:
    found, runs = {}, {}
    for version in ("paper", "default"):
        grid = make_figure_grid(tmp_path / version, ("s",), version=version, n_bins=14000)
        runs[version] = {fit.row: [load_evaluation(fit.run.path)] for fit in grid.fits}
        vision, multimodal = (runs[version][row] for row in ("cnn_shifter_on", "all_prod"))
        models = {"vision": vision, "multimodal": multimodal}
        found[version] = compare_neurons(models, grid.config.version, draws=50)
    for version, evaluations in runs.items():
        for column, row in (("vision", "cnn_shifter_on"), ("multimodal", "all_prod")):
            session = evaluations[row][0].session("s")
            if version == "paper":
                expected = correlation_smoothed(session.rates, session.observed)
            else:
                metric = METRICS.get("correlation")
                expected = metric(session.rates, session.observed, session.context)
            np.testing.assert_allclose(found[version].neurons[column], expected, rtol=1e-5)
    differences = found["paper"].neurons["difference"]
    paper, ours = (found[version].tests.iloc[0] for version in ("paper", "default"))
    assert paper["p_wilcoxon"] == pytest.approx(np.asarray(stats.wilcoxon(differences))[1])
    assert np.isnan(paper["difference_low"])
    assert np.isnan(paper["p"])
    line = compare(runs["default"], metrics=["correlation"], draws=50).table.iloc[0]
    assert ours["p"] == line["p"]
    assert (ours["difference_low"], ours["difference_high"]) == (
        *(line["difference_low"], line["difference_high"]),
    )
