"""Weights and validation losses of a blend, in words."""

from __future__ import annotations

from freegaze.runs.run_folder import RunFolder


def blends_in_words(run: RunFolder) -> list[str]:
    """Return one sentence per session on the weight of the network, and a warning if it is worse.

    Args:
        run: A run of the encoder ``blend``; of any other there are no sentences.

    Example:
        >>> from pathlib import Path
        >>> blends_in_words(RunFolder(Path("runs/first")))
        []
    """
    lines = run.metrics()
    sentences = []
    for session, found in (lines[-1].get("blend", {}) if lines else {}).items():
        text = (
            f"{session}: the rate is {found['share']:.0%} of the network's and "
            f"{1 - found['share']:.0%} of local_energy's, with a validation loss of "
            f"{found['mean']:.4f}; {found['network']:.4f} of the network alone, "
            f"{found['convex']:.4f} of local_energy alone."
        )
        is_worse = found["network"] > found["convex"]
        warning = " Warning: the network alone is worse than local_energy." if is_worse else ""
        sentences.append(text + warning)
    return sentences
