"""What every registered score promises."""

import numpy as np
import pytest

from freegaze.errors import ConfigError, RegistryError, ShapeError
from freegaze.evaluation.evaluate import score_sessions
from freegaze.metrics.blocks import TimeBlocks, cut_blocks
from freegaze.metrics.metric import ALL_KINDS, METRICS, ScoreContext, metrics_for
from scored_arrays import scored_arrays
from type_checks import unchecked

N_BINS, N_NEURONS, BIN_WIDTH_S = 600, 5, 0.5


def make_case(metric, seed=0):
    """Return predictions, observations and context of a kind that the metric applies to."""
    rng = np.random.default_rng(seed)
    kind = sorted(metric.response_kinds)[0]
    rate = rng.gamma(2.0, 0.3, (N_BINS, N_NEURONS))
    observed = rng.poisson(rate).astype(float)
    segment_ids = np.repeat([0, 1, 2], N_BINS // 3)
    context = ScoreContext(observed.mean(0) * 0.9, segment_ids, BIN_WIDTH_S, kind)
    return rate * rng.uniform(0.8, 1.2, rate.shape), observed, context


def check_contract(metric):
    predicted, observed, context = make_case(metric)
    score = metric(predicted, observed, context)
    assert score.shape == (N_NEURONS,)
    assert np.isfinite(score).all()
    assert metric.label
    assert metric.description
    assert metric.response_kinds <= ALL_KINDS
    check_statistics_route(metric, predicted, observed, context, score)
    check_order_of_neurons(metric, predicted, observed, context, score)
    check_perfect_is_best(metric, predicted, observed, context, score)
    check_constant_neuron(metric, predicted, observed, context, score)
    check_refusals(metric, predicted, observed, context)


def check_statistics_route(metric, predicted, observed, context, score):
    for blocks in (cut_blocks(context.segment_ids, BIN_WIDTH_S), TimeBlocks(np.arange(600), 600)):
        statistics = metric.statistics(predicted, observed, context, blocks)
        assert statistics.shape[0] == blocks.n_blocks
        assert statistics.shape[2] == N_NEURONS
        total = statistics.sum(0)
        np.testing.assert_allclose(metric.from_statistics(total), score, rtol=1e-9)
        np.testing.assert_allclose(metric.from_statistics(7.0 * total), score, rtol=1e-9)
        stacked = metric.from_statistics(np.stack([total, 2 * total])[:, None])
        np.testing.assert_allclose(stacked, np.broadcast_to(score, (2, 1, N_NEURONS)), rtol=1e-9)


def check_order_of_neurons(metric, predicted, observed, context, score):
    order = np.array([3, 1, 4, 0, 2])
    shuffled = metric(predicted[:, order], observed[:, order], context.select_neurons(order))
    np.testing.assert_allclose(shuffled, score[order], rtol=1e-12)


def check_perfect_is_best(metric, predicted, observed, context, score):
    sign = 1 if metric.higher_is_better else -1
    perfect = sign * metric(observed, observed, context)
    rng = np.random.default_rng(1)
    flat = np.broadcast_to(observed.mean(0), observed.shape) + 1e-3 * rng.random(observed.shape)
    for worse in (score, metric(rng.permuted(predicted, axis=0), observed, context)):
        assert (perfect > sign * worse).all()
    assert (perfect > sign * metric(flat, observed, context)).all()


def check_constant_neuron(metric, predicted, observed, context, score):
    for constant in (0.0, 1.0, 0.1):
        changed = observed.copy()
        changed[:, 2] = constant
        got = metric(predicted, changed, context)
        assert np.isnan(got[2])
        np.testing.assert_array_equal(np.delete(got, 2), np.delete(score, 2))
        evaluation = score_sessions([scored_arrays(predicted, changed, context)], draws=50)
        assert np.isnan(evaluation.table[metric.name][2])
        assert np.isnan(evaluation.table[f"{metric.name}_low"][2])
        summary = evaluation.summary["pooled"]["scores"][metric.name]
        assert summary["n_undefined"] == 1
        np.testing.assert_allclose(summary["mean"], np.nanmean(got))


@unchecked()
def check_refusals(metric, predicted, observed, context):
    with pytest.raises(ShapeError, match="same bins"):
        metric(predicted[:-1], observed, context)
    with pytest.raises(ShapeError, match="one label for each of 599"):
        metric(predicted[:-1], observed[:-1], context)
    with pytest.raises(ShapeError, match="baseline_rate"):
        metric(predicted[:, :2], observed[:, :2], context)
    for kind in ALL_KINDS - metric.response_kinds:
        other = ScoreContext(context.baseline_rate, context.segment_ids, BIN_WIDTH_S, kind)
        with pytest.raises(ConfigError, match="leave it out"):
            metric(predicted, observed, other)


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_keeps_its_promises(name):
    metric = METRICS.get(name)
    assert metric.name == name
    check_contract(metric)


def test_the_table_has_the_agreed_columns():
    in_table = {"bits_per_spike", "correlation", "deviance_explained", "mse"}
    for kind in ("spike_counts", "inferred_spikes"):
        assert set(metrics_for(kind)) == in_table | {"smoothed_correlation"}
    assert "bits_per_spike" not in metrics_for("fluorescence")
    assert "variance_explained" in metrics_for("fluorescence")


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(RegistryError, match="correlation"):
        METRICS.get("corelation")
