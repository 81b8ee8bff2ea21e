"""Scores that the notebooks of Xu et al. (2023) print for each row and mouse; one seed each.

Correlations are the original's: per neuron, after its 2 s boxcar, mean and standard deviation over
neurons. Errors are its mean squared error of smoothed counts per bin. Rows that no notebook prints
are absent: CNN-GRU with ``orig``, ``velo``, ``all`` and ``velo_prod``, Sensorium without shifter,
and Sensorium+.
"""

from __future__ import annotations

from dataclasses import dataclass

MICE = ("070921_J553RT", "110421_J569LT", "101521_J559NC")
"""Sessions of the paper's mice 1, 2 and 3."""


@dataclass(frozen=True)
class Printed:
    """Printed scores of one row and mouse.

    Args:
        correlation: Mean over neurons.
        correlation_sd: Standard deviation over neurons, printed after +-.
        mse: Mean squared error in counts squared.
    """

    correlation: float
    correlation_sd: float
    mse: float


# fmt: off
_NUMBERS: dict[tuple[str, str], tuple[tuple[float, float, float], ...]] = {
    ("table1", "cnn_shifter_off"): (
        (.548, .148, .069301), (.398, .170, .102223), (.501, .146, .094048)),
    ("table1", "cnn_shifter_on"): (
        (.596, .134, .062573), (.424, .141, .100088), (.552, .138, .090836)),
    ("table1", "autoencoder_shifter_off"): (
        (.509, .144, .076842), (.375, .148, .114998), (.459, .140, .117084)),
    ("table1", "autoencoder_shifter_on"): (
        (.555, .140, .071034), (.370, .145, .112353), (.521, .144, .097395)),
    ("table1", "resnet18_shifter_off"): (
        (.513, .144, .076448), (.373, .164, .110549), (.491, .139, .096575)),
    ("table1", "resnet18_shifter_on"): (
        (.517, .159, .078208), (.366, .171, .106883), (.511, .138, .094442)),
    ("table1", "efficientnet_b0_shifter_off"): (
        (.521, .153, .068346), (.349, .183, .109311), (.468, .145, .098369)),
    ("table1", "efficientnet_b0_shifter_on"): (
        (.542, .153, .069431), (.393, .165, .103219), (.510, .127, .096501)),
    ("table1", "sensorium_shifter_on"): (
        (.540, .138, .069641), (.441, .181, .100978), (.487, .146, .097545)),
    ("table2", "S"): (
        (.623, .142, .055057), (.498, .154, .091109), (.579, .135, .082836)),
    ("table2", "orig_prod"): (
        (.639, .141, .055455), (.484, .165, .092540), (.593, .132, .081183)),
    ("table3", "history_1"): (
        (.646, .136, .054336), (.508, .166, .091719), (.607, .132, .080114)),
    ("table3", "history_2"): (
        (.649, .139, .052839), (.506, .174, .089837), (.607, .133, .081119)),
    ("table3", "history_3"): (
        (.653, .139, .052778), (.528, .160, .084313), (.604, .134, .079014)),
    ("table3", "history_4"): (
        (.650, .142, .052547), (.566, .169, .079940), (.614, .136, .077284)),
    ("table3", "history_5"): (
        (.645, .144, .055567), (.519, .177, .093304), (.598, .134, .080692)),
    ("table3", "history_6"): (
        (.654, .142, .052630), (.549, .175, .082298), (.598, .138, .079824)),
    ("table3", "history_7"): (
        (.644, .148, .053443), (.533, .169, .093120), (.596, .133, .080605)),
    ("table3", "history_8"): (
        (.646, .146, .054729), (.546, .179, .083966), (.594, .141, .082547)),
}
# fmt: on
"""(correlation, its sd over neurons, mse) of mice 1, 2 and 3."""

_SAME = {
    ("table2", "cnn"): ("table1", "cnn_shifter_on"),
    ("table2", "all_prod"): ("table3", "history_1"),
}
"""Rows that stand in two tables."""


def printed(table: str, row: str, session_id: str) -> Printed | None:
    """Return what the original prints for a row and one of its three sessions.

    Args:
        table: ``table1``, ``table2`` or ``table3``.
        row: Name of the row.
        session_id: The session; only the original's own have printed numbers.

    Returns:
        The numbers, or ``None`` where nothing was printed.

    Source: outputs of the notebooks of Xu et al. (2023), weights of the best validation pass.

    Example:
        >>> printed("table3", "history_4", "070921_J553RT").correlation
        0.65
    """
    key = _SAME.get((table, row), (table, row))
    if session_id not in MICE or key not in _NUMBERS:
        return None
    return Printed(*_NUMBERS[key][MICE.index(session_id)])
