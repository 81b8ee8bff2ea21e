"""The table of scores against scores taken by hand from predictions and observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from builders import make_recording, make_trial_recording
from fake_encoder import fake_fit
from freegaze.errors import DataError, ShapeError
from freegaze.evaluation.evaluate import evaluate, score_sessions
from freegaze.evaluation.evaluation import summary_frame
from freegaze.evaluation.scored_session import scored_session
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.paper.scores import correlation_smoothed, mse_smoothed, paper_scores, r2_paper
from freegaze.recording.recording import ResponseKind, Segment
from type_checks import unchecked

LONG = [Segment(0, 1500, "train"), Segment(1500, 1600, "validation"), Segment(1600, 4600, "test")]


def perfect(recording, first=1600):
    """Score the true rates of a recording's last segment."""
    targets = np.arange(first, recording.n_bins)
    rates = recording.reference_rates["oracle"][targets]
    prediction = Prediction(recording.session_id, targets, rates, recording.unit_ids)
    baseline = recording.responses[:1500].mean(0)
    return scored_session(recording, prediction, baseline)


def test_table_holds_hand_computed_scores_of_test_bins():
    recording = make_recording(n_bins=4600, segments=LONG)
    encoder = fake_fit([recording], history=3)
    table = evaluate(encoder, recording, draws=50).table
    targets = np.arange(1603, 4600)  # three input bins before the first target, all in the segment
    rates = encoder.predict(recording, targets=targets).rates
    observed = recording.responses[targets]
    assert list(table["unit_id"]) == ["unit_0", "unit_1", "unit_2", "unit_3"]
    assert set(table["n_bins"]) == {2997}
    np.testing.assert_allclose(table["correlation"], single_bin_correlation(rates, observed))
    baseline = recording.responses[:1500].mean(0, dtype=np.float64)
    gain = (poisson.logpmf(observed, rates) - poisson.logpmf(observed, baseline)).sum(0)
    np.testing.assert_allclose(
        table["bits_per_spike"], gain / np.log(2) / observed.sum(0), rtol=1e-5
    )
    np.testing.assert_allclose(table["rate_hz"], baseline / 0.05, rtol=1e-6)
    assert (table["correlation_low"] < table["correlation"]).all()
    assert (table["correlation"] < table["correlation_high"]).all()


def test_rows_follow_the_fitted_neurons_whatever_the_recording_holds():
    recording = make_recording(n_bins=900)
    encoder = fake_fit([recording.select_neurons([2, 0])])
    table = evaluate(encoder, recording, draws=10).table
    alone = evaluate(encoder, recording.select_neurons([2, 0]), draws=10).table
    assert list(table["unit_id"]) == ["unit_2", "unit_0"]
    np.testing.assert_array_equal(table["mse"], alone["mse"])


def test_tracked_columns_exist_only_with_lost_tracking_and_score_whole_windows():
    whole = make_recording(n_bins=4600, segments=LONG)
    assert not [c for c in evaluate(fake_fit([whole]), whole, draws=10).table if "tracked" in c]
    recording = make_recording(n_bins=4600, segments=LONG, lost_share=0.2)
    encoder = fake_fit([recording], history=3)
    evaluation = evaluate(encoder, recording, draws=10)
    lost = np.isnan(recording.behavior).any(1)
    keep = [t for t in range(1603, 4600) if not lost[t - 3 : t].any()]
    assert set(evaluation.table["n_bins_tracked"]) == {len(keep)}
    rates = encoder.predict(recording, targets=np.array(keep)).rates
    expected = single_bin_correlation(rates, recording.responses[keep])
    np.testing.assert_allclose(evaluation.table["correlation_tracked"], expected, atol=1e-6)


def test_no_tracked_bin_at_all_is_counted_and_not_scored():
    recording = make_recording(n_bins=4600, segments=LONG)
    behavior = recording.behavior.copy()
    behavior[1600:, 2] = np.nan
    session = perfect(replace(recording, behavior=behavior))
    table = score_sessions([session], draws=10).table
    assert set(table["n_bins_tracked"]) == {0}
    assert "correlation_tracked" not in table


def test_fractions_are_of_attainable_scores_and_missing_where_those_are_noise():
    recording = make_recording(n_bins=4600, segments=LONG)
    oracle = recording.reference_rates["oracle"]
    attainable = (oracle + oracle.mean(0)) / 2
    attainable[:, 3] = oracle[:, 3].mean() + 1e-6 * oracle[:, 0]  # knows nothing of neuron 3
    recording = replace(recording, reference_rates={"oracle": oracle, "attainable": attainable})
    table = score_sessions([perfect(recording)], draws=50).table
    np.testing.assert_allclose(
        table["bits_per_spike_fraction"][:3],
        (table["bits_per_spike"] / table["attainable_bits_per_spike"])[:3],
    )
    np.testing.assert_allclose(table["correlation"], table["oracle_correlation"])
    assert (table["bits_per_spike_fraction"][:3] > 1).all()
    np.testing.assert_allclose(table["correlation_fraction"][:3], 1.0, rtol=1e-4)
    assert np.isnan(table["correlation_fraction"][3])


def test_blocks_are_whole_trials_or_at_least_twenty_seconds():
    recording = make_recording(n_bins=4600, segments=LONG)
    assert perfect(recording).blocks.lengths().min() * 0.05 >= 20.0
    trials = make_trial_recording()
    targets = np.concatenate([s.bins()[3:] for s in trials.segments if s.role == "test"])
    rates = trials.reference_rates["oracle"][targets]
    session = scored_session(
        trials, Prediction("s", targets, rates, trials.unit_ids), np.ones(4, dtype=np.float64)
    )
    assert list(session.blocks.lengths()) == [17] * 6


def test_blocks_of_mixed_segments_keep_trials_whole_and_cut_the_rest():
    segments = [Segment(0, 1600, "train"), Segment(1600, 2600, "test")]
    segments += [Segment(2600 + 500 * i, 3100 + 500 * i, "test", trial=True) for i in range(4)]
    session = perfect(make_recording(n_bins=4600, segments=segments))
    assert list(session.blocks.lengths()) == [500, 500, 500, 500, 500, 500]
    assert list(session.blocks.starts) == [0, 500, 1000, 1500, 2000, 2500]


def test_smoothing_stays_inside_unbroken_sequences_of_scored_bins():
    recording = make_recording(n_bins=900)
    targets = np.array([600, 601, 602, 610, 611, 700])
    rates = recording.reference_rates["oracle"][targets]
    prediction = Prediction("s", targets, rates, recording.unit_ids)
    session = scored_session(recording, prediction, np.ones(4))
    assert list(session.run_ids) == [0, 0, 0, 1, 1, 2]


def test_constant_neurons_are_missing_left_out_of_means_and_counted():
    recording = make_recording(n_bins=4600, segments=LONG)
    responses = recording.responses.copy()
    responses[1600:, 1] = 0
    evaluation = score_sessions([perfect(replace(recording, responses=responses))], draws=50)
    column = evaluation.table["correlation"]
    entry = evaluation.summary["sessions"]["s"]["scores"]["correlation"]
    assert np.isnan(column[1])
    assert (entry["n_neurons"], entry["n_undefined"]) == (3, 1)
    assert entry["mean"] == pytest.approx(np.nanmean(column))
    assert entry["median"] == pytest.approx(np.nanmedian(column))
    assert entry["mean_low"] < entry["mean"] < entry["mean_high"]


def test_pooled_summary_takes_all_neurons_of_all_sessions():
    a = make_recording(n_bins=4600, segments=LONG, session_id="a", n_neurons=3)
    b = make_recording(n_bins=4600, segments=LONG, session_id="b", n_neurons=5, seed=1)
    evaluation = score_sessions([perfect(a), perfect(b)], draws=200)
    pooled = evaluation.summary["pooled"]["scores"]["correlation"]
    assert pooled["n_neurons"] == 8
    assert pooled["mean"] == pytest.approx(evaluation.table["correlation"].mean())
    parts = [evaluation.summary["sessions"][k]["scores"]["correlation"] for k in "ab"]
    width = pooled["mean_high"] - pooled["mean_low"]
    assert width < max(p["mean_high"] - p["mean_low"] for p in parts)
    frame = summary_frame(evaluation)
    assert set(frame["session"]) == {"a", "b", "pooled"}
    line = frame[(frame["session"] == "pooled") & (frame["score"] == "correlation")].iloc[0]
    assert line["neurons"] == "8 of 8"
    assert line["interval"] == f"{pooled['mean_low']:.3g} to {pooled['mean_high']:.3g}"
    assert "session" not in summary_frame(score_sessions([perfect(a)], draws=10))


def test_equal_seeds_give_equal_tables_and_others_do_not():
    session = perfect(make_recording(n_bins=4600, segments=LONG))
    first, again, other = (score_sessions([session], draws=40, seed=s).table for s in (1, 1, 2))
    assert first.equals(again)
    assert not first["mse_low"].equals(other["mse_low"])


def test_predictions_made_before_are_used_as_they_are():
    recording = make_recording(n_bins=900)
    encoder = fake_fit([recording])
    targets = encoder.targets(recording, "test")
    rates = np.random.default_rng(1).gamma(2.0, 1.0, (len(targets), 4))
    made = [Prediction("s", targets, rates, recording.unit_ids)]
    evaluation = evaluate(encoder, [recording], draws=10, predictions=made)
    np.testing.assert_array_equal(evaluation.predictions[0].rates, rates)
    np.testing.assert_array_equal(evaluation.observed[0], recording.responses[targets])


def test_predictions_that_lack_a_scored_bin_are_refused():
    recording = make_recording(n_bins=900)
    encoder = fake_fit([recording])
    whole = encoder.predict(recording, role="test")
    short = [Prediction("s", whole.targets[1:], whole.rates[1:], whole.unit_ids)]
    with pytest.raises(DataError, match="1 of the 297 bins to be scored are not predicted"):
        evaluate(encoder, recording, predictions=short)


def test_fluorescence_has_no_rate_and_no_poisson_scores():
    recording = make_recording(n_bins=900, kind=ResponseKind.FLUORESCENCE)
    table = evaluate(fake_fit([recording]), recording, draws=10).table
    assert table["rate_hz"].isna().all()
    assert "bits_per_spike" not in table
    assert "variance_explained" in table


def test_paper_option_adds_the_original_scores():
    session = perfect(make_recording(n_bins=4600, segments=LONG))
    evaluation = score_sessions([session], draws=10, extra_score=paper_scores)
    rates, observed = session.rates, session.observed
    np.testing.assert_array_equal(
        evaluation.table["paper_correlation"], correlation_smoothed(rates, observed)
    )
    paper = evaluation.summary["sessions"]["s"]["paper"]
    assert paper["mse"] == pytest.approx(mse_smoothed(rates, observed).mean())
    assert paper["mse"] == pytest.approx(evaluation.table["paper_mse"].mean())
    assert paper["r2"] == pytest.approx(r2_paper(rates, observed))


def test_paper_option_refuses_fewer_bins_than_its_boxcar():
    session = perfect(make_recording(n_bins=4600, segments=LONG)).select(np.arange(40))
    with pytest.raises(DataError, match="41 bins, but only 40"):
        score_sessions([session], draws=10, extra_score=paper_scores)


def test_a_session_given_twice_or_never_is_refused():
    session = perfect(make_recording(n_bins=4600, segments=LONG))
    with pytest.raises(DataError, match="each once"):
        score_sessions([session, session])
    with pytest.raises(DataError, match="one or more"):
        score_sessions([])


def test_predictions_for_other_neurons_or_unknown_bins_are_refused():
    recording = make_recording(n_bins=900)
    rates = np.ones((2, 4))
    wrong_units = Prediction("s", np.array([1, 2]), rates, ("x", "b", "c", "d"))
    with pytest.raises(DataError, match="same neurons in one order"):
        scored_session(recording, wrong_units, np.ones(4))
    beyond = Prediction("s", np.array([1, 900]), rates, recording.unit_ids)
    with pytest.raises(DataError, match="bins 1 to 900"):
        scored_session(recording, beyond, np.ones(4))
    backward = Prediction("s", np.array([2, 1]), rates, recording.unit_ids)
    with pytest.raises(DataError, match="order of time"):
        scored_session(recording, backward, np.ones(4))


def test_nothing_to_score_and_arrays_that_disagree_are_refused():
    session = perfect(make_recording(n_bins=4600, segments=LONG))
    empty = Prediction("s", np.empty(0, dtype=int), np.empty((0, 4)), session.unit_ids)
    with pytest.raises(DataError, match="no predicted bin"):
        scored_session(make_recording(n_bins=900), empty, np.ones(4))
    with pytest.raises(DataError, match="0 bins and 4 neurons are left"):
        session.select(np.zeros(3000, dtype=bool))
    with unchecked(), pytest.raises(ShapeError, match=r"observed must have shape \(3000, 4\)"):
        replace(session, observed=session.observed[1:])
    with pytest.raises(DataError, match="order of time"):
        session.select(np.array([3, 2]))
