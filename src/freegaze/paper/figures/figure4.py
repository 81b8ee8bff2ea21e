"""Figure 4: most exciting inputs of the best neurons, as galleries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from pydantic import PositiveFloat, PositiveInt

from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.result import SessionExplanation, load_explanation
from freegaze.jobs.fits import Fit
from freegaze.paper.ascent import (
    CUTOFF,
    MostExciting,
    PaperAscent,
    has_most_exciting,
    keep_most_exciting,
    load_most_exciting,
    lowpass,
)
from freegaze.paper.figure import (
    AbstractFigure,
    ExplainedFigure,
    PaperFigure,
    best_units,
    done_fits,
    register_figure,
)
from freegaze.paper.presets import MULTIMODAL
from freegaze.paper.printed import MICE
from freegaze.progress import Progress
from freegaze.reports.style import (
    DIVERGING,
    INK,
    MUTED,
    PRINT_PX,
    PRINT_RC,
    PRINT_SMALL_PX,
    PX_PER_INCH,
    print_style,
)
from freegaze.reports.wording import fixed, shorten

if TYPE_CHECKING:
    from freegaze.paper.grid import Grid

FIRST_LIMIT, LIMIT = 0.2, 0.15
"""Gray levels at which the original's colors saturate: mouse 1, the others (Q36)."""

ACROSS = 8
"""Pictures in a row where each neuron has one."""

MARGIN_PX, GAP_PX, GROUP_GAP_PX, LABEL_PX, BAR_PX = 4, 3, 9, 11, 40


@dataclass(frozen=True, eq=False)
class SessionGallery:
    """The pictures of one session.

    Args:
        session_id: The session.
        ranked: Names of its neurons and their correlations, best first.
        columns: Name of each of a neuron's pictures, ``repeat 1`` or a method.
        pictures: One per neuron and column.
        limit: Value at which colors saturate; NaN: each picture's own largest.
        deg_per_px: Calibration of the camera, where it is known.
        climbs: Expected count less penalty of the images at start and end of the ascent.
    """

    session_id: str
    ranked: Sequence[tuple[str, float]]
    columns: tuple[str, ...]
    pictures: Float[np.ndarray, "neuron column height width"]
    limit: float = np.nan
    deg_per_px: float | None = None
    climbs: Float[np.ndarray, "neuron column 2"] | None = None

    @property
    def neurons(self) -> pd.DataFrame:
        """One row per neuron and picture: names, correlation, gain of the ascent, gray levels."""
        shape = self.pictures.shape[:2]
        climbs = np.full((*shape, 2), np.nan) if self.climbs is None else self.climbs
        units, scores = zip(*self.ranked, strict=True)
        return pd.DataFrame(
            {
                "session_id": self.session_id,
                "rank": np.repeat(np.arange(shape[0]) + 1, shape[1]),
                "unit_id": np.repeat(units, shape[1]),
                "correlation": np.repeat(scores, shape[1]),
                "picture": np.tile(self.columns, shape[0]),
                "start": climbs[..., 0].ravel(),
                "end": climbs[..., 1].ravel(),
                "largest": np.abs(self.pictures).max((2, 3)).ravel(),
                "limit": self.limit,
            }
        )

    @property
    def levels(self) -> pd.DataFrame:
        """One row per picture and line of pixels: ``x_0``, ``x_1`` ... from left to right."""
        _, _, height, width = self.pictures.shape
        levels = self.pictures.reshape(-1, width).astype(np.float32)
        names = self.neurons[["unit_id", "picture"]]
        lines = names.loc[names.index.repeat(height)].reset_index(drop=True)
        lines["y"] = np.tile(np.arange(height), len(names))
        return lines.join(pd.DataFrame(levels, columns=[f"x_{i}" for i in range(width)]))


@dataclass(frozen=True, eq=False)
class Galleries:
    """Galleries of all sessions.

    Args:
        sessions: One gallery each.
        unit: Meaning of the colors.
        caption: Text below the figure.
    """

    sessions: Sequence[SessionGallery]
    unit: str
    caption: str

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables by the end of the file's name."""
        neurons = pd.concat([own.neurons for own in self.sessions], ignore_index=True)
        return {"": neurons, **{f"_{own.session_id}": own.levels for own in self.sessions}}

    def draw(self) -> Mapping[str, Figure]:
        """Draw one gallery per session."""
        return {f"_{own.session_id}": draw_gallery(own, self.unit) for own in self.sessions}


class FieldGallery(ExplainedFigure):
    """Receptive fields of the best neurons, from explanations of the fits.

    Args:
        neurons: Best neurons of each session to show.
    """

    neurons: PositiveInt = 32
    smaller: ClassVar = {"tiny": {"neurons": 8}, "small": {"neurons": 12}}
    methods: ClassVar[tuple[str, ...]] = ("ascent",)

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> Galleries:
        """Gather the fields of every session that is done."""
        galleries = [
            self.gallery(
                load_explanation(fit.run.path, fit.session_id),
                best_units(fit, "correlation", self.neurons),
            )
            for fit in done_fits(grid, fits)
        ]
        return Galleries(galleries, "field, share of its largest value", self.caption)

    def gallery(
        self, explanation: SessionExplanation, ranked: Sequence[tuple[str, float]]
    ) -> SessionGallery:
        """Return the pictures of one session.

        Args:
            explanation: Explanation of the session.
            ranked: Names and correlations of its neurons, best first.
        """
        columns = tuple(method for method in self.methods if method in explanation.fields)
        places = [explanation.unit_ids.index(unit) for unit, _ in ranked]
        pictures = [[explanation.picture(m, place) for m in columns] for place in places]
        return SessionGallery(
            session_id=explanation.session_id,
            ranked=ranked,
            columns=columns,
            pictures=np.array(pictures, dtype=np.float64),
            deg_per_px=explanation.deg_per_px,
        )

    @property
    def caption(self) -> str:
        """Text below the figure."""
        names = "; ".join(METHODS[method].label for method in self.methods)
        return (
            f"Receptive fields of the best neurons ({names}) on the retinal frame, behavior at its "
            "training median, in the strongest bin; sorted by the correlation of single bins. "
            "Colors of each picture end at its own largest value. No smoothing."
        )


class AscentGallery(AbstractFigure):
    """The original's most exciting images.

    Args:
        neurons: Best neurons of each session to show.
        batches: Batches of starting images.
        images: Images of a batch.
        steps: Steps of gradient ascent.
        lowpass: Whether pictures are smoothed as in the original.
        limit: Gray level at which colors saturate; the original's by default.
        repeats: Ascents of each neuron.
    """

    neurons: PositiveInt = 32
    batches: PositiveInt = 100
    images: PositiveInt = 64
    steps: PositiveInt = 100
    lowpass: bool = True
    limit: PositiveFloat | None = None
    repeats: PositiveInt = 1
    smaller: ClassVar = {
        "tiny": {"neurons": 8, "batches": 1, "images": 8, "steps": 60},
        "small": {"neurons": 12, "batches": 2},
    }
    is_behavior_optimized: ClassVar[bool] = True

    @property
    def protocol(self) -> PaperAscent:
        """The protocol of each ascent."""
        return PaperAscent(self.batches, self.images, self.steps, self.is_behavior_optimized)

    def is_done(self, fit: Fit) -> bool:
        """Return whether the images of the best neurons are kept."""
        units = [unit for unit, _ in self._ranked(fit)]
        return has_most_exciting(fit.run.path, units, self.protocol, self.repeats)

    def compute(self, grid: Grid, fit: Fit, progress: Progress | None = None) -> None:
        """Run the ascents of the best neurons; images that are kept are not computed again."""
        units = [unit for unit, _ in self._ranked(fit)]
        keep_most_exciting(
            fit.run.path,
            grid.encoder(fit),
            fit.session_id,
            units,
            self.protocol,
            self.repeats,
            progress,
        )

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> Galleries:
        """Gather the images of every session that is done.

        Source: Xu et al. (2023), Figures 4 and C1 (deviations Q34 to Q37).
        """
        galleries = [self._gallery(fit) for fit in done_fits(grid, fits)]
        return Galleries(galleries, "gray level (0 to 1 is black to white)", self.caption)

    def _ranked(self, fit: Fit) -> list[tuple[str, float]]:
        return best_units(fit, "paper_correlation", self.neurons)

    def _gallery(self, fit: Fit) -> SessionGallery:
        ranked, repeats = self._ranked(fit), range(1, self.repeats + 1)
        found = [
            [load_most_exciting(fit.run.path, unit, self.protocol, k) for k in repeats]
            for unit, _ in ranked
        ]
        return SessionGallery(
            session_id=fit.session_id,
            ranked=ranked,
            columns=tuple(f"repeat {k}" for k in repeats),
            pictures=np.array([[self._picture(f) for f in row] for row in found]),
            limit=self.limit or (FIRST_LIMIT if fit.session_id == MICE[0] else LIMIT),
            climbs=np.array([[(f.start, f.end) for f in row] for row in found]),
        )

    def _picture(self, found: MostExciting) -> np.ndarray:
        return lowpass(found.picture) if self.lowpass else found.picture.astype(np.float64)

    @property
    def caption(self) -> str:
        """Text below the figure."""
        behavior = "every behavior feature starts at 1 and is optimized too"
        if not self.is_behavior_optimized:
            behavior = (
                f"behavior is drawn from -1 to 1 for each batch and kept; {self.repeats} repeats"
            )
        smoothing = f"Low-pass Butterworth, {CUTOFF:g} cycles per pixel"
        original = PaperAscent(is_behavior_optimized=self.is_behavior_optimized)
        return (
            "Images that excite the best neurons most, sorted by the original's correlation: mean "
            f"of {_size(self.protocol)}"
            + ("" if self.protocol == original else f" (the original: {_size(original)})")
            + f". Dropout is on, the image is moved by the shifter, {behavior}. "
            + (smoothing if self.lowpass else "Not smoothed")
            + "; colors end at fixed gray levels."
        )


def _size(protocol: PaperAscent) -> str:
    return f"{protocol.batches} batches of {protocol.images} images, {protocol.steps} steps"


register_figure(
    PaperFigure(
        name="figure4",
        title="What excites each neuron most",
        rows=(MULTIMODAL,),
        default=FieldGallery,
        paper=AscentGallery,
    )
)


@print_style
def draw_gallery(gallery: SessionGallery, unit: str) -> Figure:
    """Draw the pictures of a session, best neuron first; pictures of one neuron are neighbors.

    Args:
        gallery: The pictures.
        unit: Meaning of the colors.

    Returns:
        A figure of a page's width.
    """
    n_neurons, n_each, height, width = gallery.pictures.shape
    groups = max(1, (ACROSS + 1) // n_each) if n_each > 1 else ACROSS
    between = GROUP_GAP_PX if n_each > 1 else GAP_PX
    gaps = groups * (n_each - 1) * GAP_PX + (groups - 1) * between
    wide = (PRINT_PX - 2 * MARGIN_PX - gaps) / (groups * n_each)
    tall = wide * height / width
    head = LABEL_PX if n_each > 1 else 0
    n_rows = -(-n_neurons // groups)
    total = MARGIN_PX + head + n_rows * (LABEL_PX + tall + GAP_PX) + BAR_PX
    figure = Figure(figsize=(PRINT_PX / PX_PER_INCH, total / PX_PER_INCH), facecolor="none")
    for i, (name, correlation) in enumerate(gallery.ranked):
        row, group = divmod(i, groups)
        below = total - MARGIN_PX - head - (row + 1) * (LABEL_PX + tall) - row * GAP_PX
        start = MARGIN_PX + group * (n_each * (wide + GAP_PX) - GAP_PX + between)
        for k in range(n_each):
            left = start + k * (wide + GAP_PX)
            ax = figure.add_axes((left / PRINT_PX, below / total, wide / PRINT_PX, tall / total))
            _picture(ax, gallery.pictures[i, k], gallery.limit)
            if k == 0:
                short = shorten(name, max(8, int(n_each * wide / 5) - 6))
                _label(ax, f"{short}  {fixed(correlation, 2)}", 2)
            if row == 0 and n_each > 1:
                _label(ax, gallery.columns[k], LABEL_PX + 2, MUTED)
    bottom = figure.add_axes((0, 0, 1, (BAR_PX - GAP_PX) / total))
    bottom.set_axis_off()
    _color_bar(figure, gallery.limit, unit, total)
    if n_neurons:
        _scale_bar(bottom, gallery, wide)
    return figure


def _picture(ax: Axes, picture: np.ndarray, limit: float) -> None:
    own = float(np.abs(picture).max()) or 1.0
    reach = limit if np.isfinite(limit) else own
    ax.imshow(picture, cmap=DIVERGING, vmin=-reach, vmax=reach, interpolation="none", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _label(ax: Axes, text: str, above_px: float, color: str = INK) -> None:
    ax.annotate(
        text,
        (0, 1),
        (0, above_px),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=PRINT_SMALL_PX - 1,
        color=color,
        annotation_clip=False,
    )


def _color_bar(figure: Figure, limit: float, unit: str, total: float) -> None:
    reach = limit if np.isfinite(limit) else 1.0
    ax = figure.add_axes((1 - 160 / PRINT_PX, 24 / total, 150 / PRINT_PX, 6 / total))
    bar = figure.colorbar(
        ScalarMappable(Normalize(-reach, reach), DIVERGING),
        cax=ax,
        orientation="horizontal",
        ticks=[-reach, 0, reach],
        extend="both" if np.isfinite(limit) else "neither",
    )
    bar.outline.set_linewidth(PRINT_RC["axes.linewidth"])
    bar.set_label(unit, fontsize=PRINT_SMALL_PX, labelpad=1)


def _scale_bar(ax: Axes, gallery: SessionGallery, wide_px: float) -> None:
    """Draw the width of a round number of pixels or degrees, and explain the labels."""
    across = gallery.pictures.shape[-1] * (gallery.deg_per_px or 1.0)
    length = next(n for n in (100, 50, 20, 10, 5, 2, 1, 0) if n <= across / 2) or across / 2
    share = length / across * wide_px / PRINT_PX
    left = MARGIN_PX / PRINT_PX
    ax.set(xlim=(0, 1), ylim=(0, BAR_PX - GAP_PX))
    ax.plot([left, left + share], [26, 26], color=INK, linewidth=1.6, solid_capstyle="butt")
    unit = " px" if gallery.deg_per_px is None else "°"
    length_text = ax.text(left, 22, f"{length:g}{unit}", va="top")
    words = f"{shorten(gallery.session_id)}: above each, neuron and its correlation"
    explanation = ax.text(left + wide_px / PRINT_PX + 0.03, 22, words, va="center", color=MUTED)
    for text in (length_text, explanation):
        text.set_fontsize(PRINT_SMALL_PX)
