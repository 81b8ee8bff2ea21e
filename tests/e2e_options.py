"""Options that make a run small, shared by the end-to-end tests."""

SMALL = (
    *("--set", "training.max_passes=1", "--set", "training.device=cpu"),
    *("--set", "data.min_rate_hz=0", "--quiet"),
)
SMALL_CORE = (
    *("--set", "model.core.channels=[4]", "--set", "model.core.kernels=[7]"),
    *("--set", "model.core.strides=[4]"),
)
SMALL_EXPLANATION = (
    *("--set", "n_windows=4", "--set", "n_starts=2", "--set", "ascent_steps=2"),
    *("--set", "n_saliency_windows=8", "--set", "n_shifts=4", "--quiet"),
)
