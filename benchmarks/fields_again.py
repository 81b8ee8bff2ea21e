"""Are receptive fields the same from other seeds, and how does the original's ascent compare?

    python benchmarks/fields_again.py runs/inside/cnn_gru_affine_1_40 --neurons 6

Takes a fitted run on a simulated session. Test and retest differ in the windows whose gradients are
averaged, and in where ascents start. The original's ascent (dropout on, behavior climbing too, a
few batches of 64 images) is made for some neurons drawn from those above half their attainable
correlation. Its pictures pass the shifter in whatever behavior the climb ends in, so that both are
also compared with the truth at the shift that suits each best.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.fields.gradients import INVARIANT, summarize_field
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.truth import correlate, moved_fields, subspace_overlap
from freegaze.fitted.storage import load_encoder
from freegaze.paper.ascent import PaperAscent, most_exciting
from freegaze.runs.recordings import open_run_recordings
from freegaze.simulation.truth import Truth
from freegaze.sources.simulation import load_truth

HALF = 0.5
"""Only neurons above this share of their attainable correlation are looked at."""

FULL_PAPER = 100 * 64 * 100
"""Image gradients of the original's full protocol, for one neuron."""


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--neurons", type=int, default=6, help="for the original's ascent")
    parser.add_argument("--batches", type=int, default=2, help="of 64 images")
    parser.add_argument("--seed", type=int, default=0, help="that neurons are drawn by")
    parser.add_argument("--device", default="cpu", help="where to compute, cuda for example")
    parser.add_argument("--no-retest", action="store_true", help="only the original's ascent")
    options = parser.parse_args()
    again, beside = [], []
    for run in options.runs:
        encoder = load_encoder(run, options.device)
        (recording,) = open_run_recordings(run)
        session = ExplainedSession(encoder, recording)
        kept = [recording.unit_ids.index(unit) for unit in session.recording.unit_ids]
        truth = load_truth(recording.provenance["truth"]).select_neurons(np.array(kept))
        scores = (
            load_evaluation(run).table.set_index("unit_id").loc[list(session.recording.unit_ids)]
        )
        share = (scores["correlation"] / scores["attainable_correlation"]).to_numpy()
        sees = truth.receptive_field.any((1, 2, 3))
        good = np.flatnonzero((share > HALF) & sees)
        again += [] if options.no_retest else retest(run.name, session, good)
        drawn = np.random.default_rng(options.seed).permutation(good)[: options.neurons]
        beside += beside_paper(run.name, session, truth, np.sort(drawn), options.batches)
    print(f"Test and retest, neurons above {HALF:.0%} of their attainable correlation:")
    print(pd.DataFrame(again).round(3).to_string(index=False))
    print(f"\nThe original's ascent beside the default ({options.batches} batches of 64):")
    print(pd.DataFrame(beside).round(3).to_string(index=False))


def retest(name: str, session: ExplainedSession, good: np.ndarray) -> list[dict[str, object]]:
    """Compare what two seeds give, by method."""
    configs = [ExplainConfig(seed=seed) for seed in (0, 1)]
    pairs = {m: [METHODS[m].find(session, c) for c in configs] for m in ("gradient", "ascent")}
    invariance = pairs["gradient"][0]["invariance"]
    rows = []
    for method, (one, other) in pairs.items():
        for label, chosen in (
            ("one picture", invariance <= INVARIANT),
            ("pair", invariance > INVARIANT),
        ):
            cells = [n for n in good if chosen[n]]
            if label == "pair":
                r = [subspace_overlap(one["pair"][n], other["pair"][n]) for n in cells]
            else:
                both = [
                    [summarize_field(f["field"][n]).spatial for f in (one, other)] for n in cells
                ]
                r = [correlate(*fields) for fields in both]
            quartile = np.quantile(r, 0.25) if r else np.nan
            rows.append(
                {"run": name, "method": method, "compared": label, "cells": len(cells)}
                | {
                    "median r": np.median(r),
                    "lower quartile": quartile,
                    "least": min(r, default=np.nan),
                }
            )
    return rows


def beside_paper(
    name: str, session: ExplainedSession, truth: Truth, neurons: np.ndarray, batches: int
) -> list[dict[str, object]]:
    """Compare the original's pictures and the default's with the truth."""
    (movement,) = displacement_against_truth(session.encoder, [session.recording]).values()
    true = moved_fields(truth.receptive_field, movement.shift_px, movement.rotation_deg)
    default = METHODS["gradient"].find(session, ExplainConfig())
    rows = []
    for n in neurons:
        start = perf_counter()
        protocol = PaperAscent(batches=batches)
        found = most_exciting(session.encoder, session.session_id, int(n), protocol, seed=int(n))
        row = {"run": name, "unit": session.recording.unit_ids[n], "kind": truth.kind[n]}
        field = summarize_field(default["field"][n]).spatial
        if default["invariance"][n] > INVARIANT:
            field = default["pair"][n, 0]
        # A picture of a complex cell may have any phase: what counts is how much both explain.
        phases = true[n, : 1 if truth.kind[n] == "simple" else 2]
        for method, picture in {"default": field, "paper": found.picture}.items():
            products = cross_correlation(picture, phases)
            strength = products[0] if len(phases) == 1 else np.linalg.norm(products, axis=0)
            row[f"{method} r"] = float(strength[0, 0])
            row[f"{method} r, best shift"] = float(strength.max())
        row["paper gradients"] = batches * protocol.images * protocol.steps
        row["default gradients"] = ExplainConfig().n_windows
        row["full paper over default"] = FULL_PAPER / ExplainConfig().n_windows
        row["paper s"] = perf_counter() - start
        rows.append(row)
        print(row, flush=True)
    return rows


def cross_correlation(
    picture: Float[np.ndarray, "height width"], others: Float[np.ndarray, "other height width"]
) -> Float[np.ndarray, "other height width"]:
    """Correlate a picture with others at every shift; beyond its border it begins anew."""
    flat = picture - picture.mean()
    others = others - others.mean((1, 2), keepdims=True)
    products = np.fft.irfft2(np.conj(np.fft.rfft2(flat)) * np.fft.rfft2(others), picture.shape)
    norms = np.linalg.norm(flat) * np.linalg.norm(others, axis=(1, 2))
    return products / np.maximum(norms, 1e-30)[:, None, None]


if __name__ == "__main__":
    main()
