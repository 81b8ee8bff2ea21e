"""Settings of data and split."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from freegaze.config import StrictConfig
from freegaze.dataset.batches import VideoRule
from freegaze.dataset.behavior import DerivativeRule, NanPolicy, StandardizeRule
from freegaze.dataset.splits import SplitMethod


class DataConfig(StrictConfig):
    """Settings of windows.

    Args:
        history: Input bins of a window.
        lag: Target bin minus last input bin.
        min_rate_hz: Neurons with a lower mean rate over training bins are left out (spiking data
            only).
        nan_policy: Replacement of lost tracking.
        derivative: Rule of derivatives.
        standardize: Whether behavior features are scaled to mean 0 and sd 1 on training bins;
            ``segment_sd`` divides signals by their sd in each segment (Q28).
        video: Rule of the scaling of gray levels.
    """

    history: PositiveInt = 6
    lag: int = 1
    min_rate_hz: float = Field(default=3.0, ge=0)
    nan_policy: NanPolicy = "interpolate"
    derivative: DerivativeRule = "gap_aware"
    standardize: StandardizeRule = True
    video: VideoRule = "standardize"


class SplitConfig(StrictConfig):
    """Choice of training, validation and test bins.

    Args:
        method: ``given``: the roles of the recording's segments; ``tail``: the same, and the last
            part of the training bins validates; ``paper_tail``: ``tail`` as Xu et al. (2023) did,
            without gaps; ``blocks``: the session is cut into ``n_blocks`` segments, of which each
            trains, then validates, then tests; ``stimulus``: bins of two roles share no condition,
            and no frame except blank ones; ``auto``: ``given`` where segments of all three roles
            exist, ``tail`` where training and test exist, ``stimulus`` where stimuli repeat and can
            be held out in about the wanted shares, ``blocks`` otherwise; ``folds``: blocks of time
            or whole trials of one of ``n_folds`` folds test, whatever the roles of the recording's
            segments (``freegaze evaluate --folds`` sets it).
        validation: Share of training bins (``tail``, ``folds``) or of all bins (``blocks``,
            ``stimulus``) that validate.
        test: Share of all bins that test (``blocks``, ``stimulus``).
        gap_s: Seconds between bins of different roles that are used for neither.
        n_blocks: Number of segments of ``blocks``.
        condition: Annotation whose values ``stimulus`` keeps together. Without it, the annotation
            ``condition`` is used if the recording has it.
        n_folds: Number of folds of ``folds``.
        fold: The fold that tests, from 0.
    """

    method: SplitMethod = "auto"
    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    gap_s: float = Field(default=2.0, ge=0)
    n_blocks: PositiveInt = 10
    condition: str | None = None
    n_folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
