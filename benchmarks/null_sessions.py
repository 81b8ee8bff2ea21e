"""False discoveries in fitted sessions without an effect of behavior, and power for a planted one.

    python benchmarks/null_sessions.py --out runs/null --seeds 500 501 502

Each session is of the track ``null``: vision alone drives every neuron, and the pupil follows the
brightness of the scene. The responses of one neuron are drawn anew with a rate that speed
multiplies (``--effect`` is the change of the log rate per standard deviation). Each session is
fitted and explained with ``contributions`` and ``saliency``. What is in ``--out`` is kept.

A null session has a discovery where the two-step selection, among the other neurons alone, finds
any behavior or any group. The planted effect is found where the selection among all neurons finds
any behavior in its neuron.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import xlogy

import freegaze
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.selection import discoveries, select_in_two_steps
from freegaze.explanation.explain import explain
from freegaze.recording.recording import Recording
from freegaze.simulation.group_shares import SIGNALS
from freegaze.simulation.processes import bin_mean
from freegaze.simulation.rates import scaled_signals
from freegaze.simulation.tracks import SimulationConfig
from freegaze.sources.simulation import load_truth

LEAST_RATE_HZ = 4.0
"""Rate above which a neuron gets the planted effect: a run leaves out neurons below 3 Hz."""

LEVELS = (0.01, 0.05)


def main() -> None:
    """Fit what is missing and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--neurons", type=int, default=12)
    parser.add_argument("--height", type=int, default=30, help="of frames, in px")
    parser.add_argument("--effect", type=float, default=1.0)
    parser.add_argument("--model", default="cnn_gru")
    parser.add_argument("--passes", type=int, help="over training bins, at most")
    options = parser.parse_args()
    rows, signals = [], []
    for seed in options.seeds:
        row, saliency = session(options, seed)
        rows.append(row)
        signals.append(saliency)
        print(row, flush=True)
    table, saliency = pd.DataFrame(rows), pd.concat(signals, ignore_index=True)
    table.to_csv(options.out / "sessions.csv", index=False)
    saliency.to_csv(options.out / "saliency.csv", index=False)
    n = len(table)
    print(f"\nNull: {(table['n_false'] > 0).sum()} of {n} sessions with any discovery")
    print(f"Planted: any behavior found in {table['is_found'].sum()} of {n} sessions,")
    print(f"  speed named in {table['is_named'].sum()}, in saliency {table['in_saliency'].sum()}")
    print(f"  share of the deviance: {table['share'].mean():.3f} (sd {table['share'].std():.3f})")
    null = saliency[~saliency["is_planted"] & saliency["p"].notna()]
    false = saliency[~saliency["is_planted"]].groupby("seed")["is_false"].any()
    print(f"Saliency: {false.sum()} of {n} null sessions with any discovery; {len(null)} tests")
    for level in LEVELS:
        shares = (null["p"] <= level).groupby(null["seed"]).mean()
        print(f"  P(p <= {level}) = {shares.mean():.4f} +- {shares.std() / np.sqrt(n):.4f}")


def session(options: argparse.Namespace, seed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Return the results of one session: counts, and the tests of its saliency."""
    data, run = options.out / f"data_{seed}", options.out / f"{options.model}_{seed}"
    if not data.exists():
        size = (options.height, options.height * 4 // 3)
        config = SimulationConfig(options.minutes, options.neurons, seed, "null", frame_size=size)
        freegaze.simulate(data, config=config)
    (simulated,) = freegaze.open_recordings("auto", data)
    recording, planted, share = plant(simulated, options.effect, seed)
    if not (run / "encoder.safetensors").exists():
        settings = {} if options.passes is None else {"training.max_passes": options.passes}
        freegaze.fit(recording, run, model=options.model, settings=settings)
    encoder = freegaze.load_encoder(run)
    config = ExplainConfig()
    found = explain(encoder, recording, run, config, only=["contributions", "saliency"])
    rate = config.false_discovery_rate
    table = found.contributions
    p = table.pivot_table(index="unit_id", columns="group", values="p", sort=False, dropna=False)
    groups = [name for name in p if name not in ("vision", "behavior")]
    null = p.drop(index=planted)
    any_false, groups_false = select_in_two_steps(
        null["behavior"].to_numpy(), null[groups].to_numpy(), rate
    )
    own = table[table["unit_id"] == planted].set_index("group")
    saliency = found.saliency[["unit_id", "signal", "p", "least_p", "answer"]].assign(seed=seed)
    saliency["is_planted"] = saliency["unit_id"] == planted
    is_null = ~saliency["is_planted"].to_numpy()
    saliency["is_false"] = False
    saliency.loc[is_null, "is_false"] = discoveries(
        saliency.loc[is_null, "p"].to_numpy()[:, None], rate
    )[:, 0]
    speed = saliency[saliency["is_planted"] & (saliency["signal"] == "speed")]
    row = {
        "seed": seed,
        "n_null": len(null),
        "n_false": int(any_false.sum()),
        "n_false_groups": int(groups_false.sum()),
        "share": share,
        "is_found": bool(own.loc["behavior", "is_significant"]),
        "is_named": bool(own.loc["speed", "is_significant"]),
        "in_saliency": bool((speed["answer"] == "yes").all()),
        "p": float(own.loc["behavior", "p"]),
        "least_p": float(own.loc["behavior", "least_p"]),
    }
    return row, saliency


def plant(recording: Recording, effect: float, seed: int) -> tuple[Recording, str, float]:
    """Let speed multiply the rate of the first neuron that fires enough.

    Returns:
        The recording, the neuron, and the share of its deviance that speed carries.
    """
    truth = load_truth(recording.provenance["truth"], recording)
    seconds = recording.n_bins * recording.bin_width_s
    hz = recording.responses.sum(0) / seconds
    neuron = int(np.flatnonzero(hz >= LEAST_RATE_HZ)[0])
    speed = scaled_signals({name: truth.path[f"true_{name}"] for name in SIGNALS})["speed"]
    gain = bin_mean(np.exp(effect * speed)[:, None])[: recording.n_bins, 0]
    visual = np.maximum(truth.oracle[:, neuron].astype(np.float64), 1e-9)
    rate = visual * gain / (visual * gain).mean() * visual.mean()
    responses = recording.responses.copy()
    responses[:, neuron] = np.random.default_rng(seed).poisson(rate)
    share = deviance(rate, visual) / deviance(rate, np.full_like(rate, rate.mean()))
    return replace(recording, responses=responses), recording.unit_ids[neuron], float(share)


def deviance(rate: np.ndarray, other: np.ndarray) -> float:
    """Return the expected Poisson deviance of counts of one rate from another."""
    return float(2 * (xlogy(rate, rate / other) - (rate - other)).sum())


if __name__ == "__main__":
    main()
