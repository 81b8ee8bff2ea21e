"""``freegaze models``, ``sources``, ``targets``, ``metrics``: what there is to choose from."""

from __future__ import annotations

from freegaze.cli.tables import print_frame


def models() -> None:
    """List the encoders."""
    import pandas as pd

    from freegaze.models.encoder import MODELS

    rows = [(name, MODELS.get(name).inputs, _first_line(MODELS.get(name))) for name in MODELS]
    print_frame("Models", pd.DataFrame(rows, columns=["name", "reads", "what it is"]))


def metrics() -> None:
    """List the scores."""
    import pandas as pd

    from freegaze.metrics.metric import METRICS

    scores = [METRICS.get(name) for name in METRICS]
    rows = [(s.name, s.label, s.unit, "higher" if s.higher_is_better else "lower") for s in scores]
    print_frame("Metrics", pd.DataFrame(rows, columns=["name", "what it is", "unit", "better"]))


def sources() -> None:
    """List the formats and data sets."""
    import pandas as pd

    from freegaze.sources import describe_sources

    print_frame("Sources", pd.DataFrame(describe_sources()))


def targets() -> None:
    """List the formats that recordings can be written in."""
    import pandas as pd

    from freegaze.sources.targets import describe_targets

    print_frame("Targets", pd.DataFrame(describe_targets()))


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").partition("\n")[0]
