"""Predictions as xarray objects; needs xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from freegaze.errors import DataError

if TYPE_CHECKING:
    from freegaze.fitted.encoder import Prediction

BIN, NEURON = "bin", "neuron"
"""Dimensions: a bin of the recording, and a neuron by its name."""

RATES = {"long_name": "predicted response", "units": "response per bin"}


def require_xarray() -> Any:
    """Import xarray only when it is used.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import xarray
    except ImportError:
        raise DataError(
            "this needs xarray; install it with `pip install freegaze[xarray]`"
        ) from None
    return xarray


def prediction_to_xarray(prediction: Prediction) -> Any:
    """Return predictions as a ``DataArray`` of dimensions ``bin`` and ``neuron``.

    Args:
        prediction: Predictions of one session.

    Returns:
        Predicted rates. The coordinate ``bin`` is the bin of the recording, ``neuron`` is the name
        of the neuron, and the attribute ``session_id`` is the name of the session.

    Raises:
        DataError: If xarray is not installed.

    Example:
        >>> from freegaze.fitted.encoder import Prediction
        >>> rates = np.array([[0.5, 2.0]], np.float32)
        >>> array = Prediction("mouse", np.array([7]), rates, ("a", "b")).to_xarray()
        >>> float(array.sel(bin=7, neuron="b"))
        2.0
    """
    xarray = require_xarray()
    return xarray.DataArray(
        prediction.rates,
        dims=(BIN, NEURON),
        coords={BIN: prediction.targets, NEURON: np.array(prediction.unit_ids, dtype=np.str_)},
        name="rates",
        attrs={**RATES, "session_id": prediction.session_id},
    )
