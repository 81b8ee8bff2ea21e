"""Fitted encoders, their predictions, and the table of scores.

Names are imported when they are first asked for, so that loading an encoder needs no pandas. The
function ``compare`` is in the module of that name, ``freegaze.evaluation.compare``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freegaze.evaluation.compare import Comparison as Comparison
    from freegaze.evaluation.external import score_predictions as score_predictions
    from freegaze.evaluation.fitted import FittedEncoder as FittedEncoder
    from freegaze.evaluation.fitted import Prediction as Prediction
    from freegaze.evaluation.fitted import load_encoder as load_encoder
    from freegaze.evaluation.prediction_files import load_predictions as load_predictions
    from freegaze.evaluation.prediction_files import save_predictions as save_predictions
    from freegaze.evaluation.result import Evaluation as Evaluation
    from freegaze.evaluation.result import summary_frame as summary_frame
    from freegaze.evaluation.scored import ScoredSession as ScoredSession
    from freegaze.evaluation.scored import scored_session as scored_session
    from freegaze.evaluation.scores import evaluate as evaluate
    from freegaze.evaluation.scores import score_sessions as score_sessions
    from freegaze.evaluation.storage import load_evaluation as load_evaluation
    from freegaze.evaluation.storage import save_evaluation as save_evaluation
    from freegaze.evaluation.yardsticks import condition_mean as condition_mean

_HOMES = {
    "Comparison": "compare",
    "Evaluation": "result",
    "FittedEncoder": "fitted",
    "Prediction": "fitted",
    "ScoredSession": "scored",
    "condition_mean": "yardsticks",
    "evaluate": "scores",
    "load_encoder": "fitted",
    "load_evaluation": "storage",
    "load_predictions": "prediction_files",
    "save_evaluation": "storage",
    "save_predictions": "prediction_files",
    "score_predictions": "external",
    "score_sessions": "scores",
    "scored_session": "scored",
    "summary_frame": "result",
}

__all__ = [
    "Comparison",
    "Evaluation",
    "FittedEncoder",
    "Prediction",
    "ScoredSession",
    "condition_mean",
    "evaluate",
    "load_encoder",
    "load_evaluation",
    "load_predictions",
    "save_evaluation",
    "save_predictions",
    "score_predictions",
    "score_sessions",
    "scored_session",
    "summary_frame",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'freegaze.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"freegaze.evaluation.{_HOMES[name]}"), name)
