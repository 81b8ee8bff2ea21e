"""Keys of the YAML of the source ``files`` that name the neurons."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from freegaze.config import StrictConfig
from freegaze.recording.recording import ResponseKind
from freegaze.sources.lab_files.clocks import AnyClockConfig, StatedClockConfig
from freegaze.sources.lab_files.timed import FileName, TableFormat, TimedConfig


class SpikesConfig(StrictConfig):
    """Spikes of units on one clock.

    Args:
        duration_s: Length of the recording on its own clock. Without it, the recording is assumed
            to last from the first to the last spike of any unit.
        clock: Conversion of its seconds to the session's clock.
    """

    duration_s: float | None = Field(default=None, gt=0)
    clock: AnyClockConfig = StatedClockConfig()


class KilosortConfig(SpikesConfig):
    """A folder of Kilosort or phy; see ``SpikesConfig``.

    Args:
        folder: Folder with ``spike_times.npy``, ``spike_clusters.npy`` (or ``spike_templates.npy``,
            before anything was merged) and ``cluster_group.tsv``, ``cluster_info.tsv`` or
            ``cluster_KSLabel.tsv``.
        groups: Labels of the clusters to read; an empty list reads every cluster. ``unsorted`` also
            stands for clusters without a label.
        sampling_rate_hz: Samples per second; from ``params.py`` by default.
    """

    kind: Literal["kilosort"] = "kilosort"
    folder: FileName
    groups: tuple[str, ...] = ("good",)
    sampling_rate_hz: float | None = Field(default=None, gt=0)


class SpikeInterfaceConfig(SpikesConfig):
    """Sorted units in a format that SpikeInterface reads; see ``SpikesConfig``.

    Args:
        folder: Folder or file.
        format: ``spikeinterface`` for a sorting or a sorting analyzer that SpikeInterface saved
            (also in Zarr), or the name of one of its readers, such as ``phy``, ``neuralynx`` or
            ``cellexplorer``.
        options: Further arguments of this reader.
        segment: Number of the segment, if there are several.
        keep_units: Values that properties of units must have: ``{quality: [good]}``.
    """

    kind: Literal["spikeinterface"] = "spikeinterface"
    folder: FileName
    format: str = "spikeinterface"
    options: dict[str, Any] = Field(default_factory=dict)
    segment: int | None = Field(default=None, ge=0)
    keep_units: dict[str, tuple[bool | int | float | str, ...]] = Field(default_factory=dict)


class SpikeTableConfig(SpikesConfig, TableFormat):
    """A table with one row per spike; see ``SpikesConfig`` and ``TableFormat``.

    Args:
        file: The file.
        time: Column of the times.
        unit: Column of the units' names.
    """

    kind: Literal["spike_table"] = "spike_table"
    file: FileName
    time: str = "time"
    unit: str = "unit"


class SpikeTrainsConfig(SpikesConfig):
    """A ``.mat`` or ``.npz`` file with one list of spike times per unit; see ``SpikesConfig``.

    Args:
        file: The file.
        variable: Cell array of spike times; units are numbered from 1 as in MATLAB. Without it,
            each variable of the file contains the spike times of one unit and names it.
    """

    kind: Literal["spike_trains"] = "spike_trains"
    file: FileName
    variable: str | None = None


class Suite2pConfig(TimedConfig):
    """A folder of suite2p. Give its rate: the one in ``ops.npy`` is nominal.

    Args:
        folder: ``plane0``, with ``spks.npy``, ``F.npy`` and ``iscell.npy``; or ``suite2p``, with
            one such folder per plane. The samples of all planes of a volume are taken at one time.
        plane: Number of the plane to read; all by default.
        signal: ``spks`` (inferred spikes) or ``F`` (fluorescence).
        neuropil: Share of ``Fneu.npy`` that is subtracted from ``F``; suite2p itself uses 0.7.
        only_cells: Whether to leave out regions that are no cell in ``iscell.npy``.
        bad_frames: What happens to the samples that suite2p marks in ``badframes``: they are lost,
            or kept (``lost``, ``kept``).
    """

    kind: Literal["suite2p"] = "suite2p"
    folder: FileName
    plane: int | None = Field(default=None, ge=0)
    signal: Literal["spks", "F"] = "spks"
    neuropil: float = 0.0
    only_cells: bool = True
    bad_frames: Literal["lost", "kept"] = "lost"

    @model_validator(mode="after")
    def _subtracts_from_fluorescence(self) -> Suite2pConfig:
        if self.neuropil and self.signal != "F":
            raise ValueError(f"`neuropil` applies to `signal: F`, not to `{self.signal}`")
        return self


class CaimanConfig(TimedConfig):
    """An HDF5 file of CaImAn, as ``CNMF.save`` writes it; its rate must be given.

    Args:
        file: The file.
        signal: ``S`` (inferred spikes), ``C`` (denoised fluorescence) or ``F_dff`` (fluorescence,
            relative to its baseline).
        only_accepted: Whether to leave out components that CaImAn has not accepted.
    """

    kind: Literal["caiman"] = "caiman"
    file: FileName
    signal: Literal["S", "C", "F_dff"] = "S"
    only_accepted: bool = True


class ArrayResponsesConfig(TimedConfig):
    """Responses in an ``.npy`` file, or in a variable of ``.mat``, ``.npz`` or HDF5.

    Args:
        file: The file.
        variable: Name of the array in a file of several.
        axes: Order of the axes: ``time_neuron`` or ``neuron_time``. Without it, the order is (time,
            neuron); more neurons than samples are then refused.
        response_kind: Kind of the values; counts are assumed to be binned already.
    """

    kind: Literal["npy", "array"] = "npy"
    file: FileName
    variable: str | None = None
    axes: Literal["time_neuron", "neuron_time"] | None = None
    response_kind: ResponseKind


ResponsesConfig = Annotated[
    KilosortConfig
    | SpikeInterfaceConfig
    | SpikeTableConfig
    | SpikeTrainsConfig
    | Suite2pConfig
    | CaimanConfig
    | ArrayResponsesConfig,
    Field(discriminator="kind"),
]
