"""Template of a figure: copy this file, rename it, and fill it in.

This one shows the distribution of correlations of one row over the neurons of each session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from pydantic import PositiveInt

from freegaze.evaluation.storage import load_scores
from freegaze.jobs.fits import Fit
from freegaze.paper.figure import AbstractFigure, PaperFigure, done_fits, register_figure
from freegaze.paper.presets import MULTIMODAL
from freegaze.reports.style import MODEL, PRINT_PX, label_axes, new_figure, print_style

if TYPE_CHECKING:
    from freegaze.paper.grid import Grid


@dataclass(frozen=True)
class TemplateData:
    """Data of the figure.

    Args:
        neurons: One row per neuron: ``session_id``, ``unit_id`` and ``correlation``.
        caption: Text below the figure; take its numbers from the settings and the data.
        bins: Number of bars.
    """

    neurons: pd.DataFrame
    caption: str
    bins: int

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables to write beside the figure, by the end of the file's name."""
        return {"": self.neurons}

    @print_style
    def draw(self) -> Mapping[str, Figure]:
        """Return the drawings, by the end of the file's name."""
        figure, (ax,) = new_figure(PRINT_PX / 2, 150)
        ax.hist(self.neurons["correlation"].dropna(), bins=self.bins, color=MODEL)
        label_axes(ax, "correlation r", "neurons")
        return {"": figure}


class Template(AbstractFigure):
    """The figure; its fields are its settings.

    A figure that needs more of each fit than its evaluation also has ``is_done`` and ``compute``.

    Args:
        bins: Number of bars.
    """

    bins: PositiveInt = 20
    smaller: ClassVar = {"tiny": {"bins": 5}}

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> TemplateData:
        """Gather the correlations of every session that is done."""
        tables = [
            load_scores(fit.run.path).assign(session_id=fit.session_id)
            for fit in done_fits(grid, fits)
        ]
        neurons = pd.concat(tables, ignore_index=True)
        columns = ["session_id", "unit_id", "correlation"]
        caption = f"Correlations of {len(neurons)} neurons in {self.bins} bars."
        return TemplateData(neurons.loc[:, columns], caption, self.bins)


register_figure(
    PaperFigure(
        name="template",
        title="How well each neuron is predicted",
        rows=(MULTIMODAL,),
        default=Template,
        paper=Template,
    )
)
