"""The configuration of a run: data, split, model, training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_serializer, field_validator

from freegaze.config import StrictConfig, build_config
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.models.encoder import MODELS
from freegaze.plugins import is_own
from freegaze.sources.remote.addresses import as_address, shown_address

DEFAULT_MODEL = "cnn_gru"

LOSS_NAMES = ("auto", "poisson", "poisson_sum", "gaussian")


class SourceConfig(StrictConfig):
    """Recordings to fit.

    Args:
        name: Format of the data; ``freegaze sources`` lists them.
        path: File or folder with the data, or an address, which is written to files without its
            secrets (``shown_address``).
        options: Options of that format; ``freegaze sources NAME`` lists them.
    """

    name: str = "simulation"
    path: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_serializer("path")
    def _without_secrets(self, path: Path | None) -> Path | None:
        address = None if path is None else as_address(path)
        return path if address is None else Path(shown_address(address))


class TrainingConfig(StrictConfig):
    """The recipe.

    Args:
        seed: Fixes initial weights, order of batches and dropout.
        seeds: Fits with consecutive seeds, which become one encoder that predicts the mean of their
            rates. They share the gaze correction of the first.
        core_from: Folder of a finished run whose core this fit starts from.
        frozen_passes: Passes in which a core of ``core_from`` stays as it is, while the new
            session's part is fitted.
        max_passes: Passes over the training windows at most.
        patience: Passes in a row without a better validation before stopping (Q21).
        rounds: Number of times that patience may run out before the fit ends; each time the best
            weights are taken up again and training goes on from them.
        refit: Whether the encoder that is kept is fitted anew to training and validation windows
            together, with as many passes as the validation chose. Its validation bins are then no
            longer held out. A fit of several ``rounds`` or with ``schedule: plateau``, whose course
            depends on validation, is not repeated.
        monitor: What "better" means: a lower ``loss`` or a higher ``correlation`` (mean over
            neurons of the single-bin correlation).
        validation_mean: Whether the validation loss is the mean over ``windows``, or the mean over
            ``batches`` of ``batch_windows`` windows in order of time, the last one of which is
            smaller (Q23).
        batch_windows: Windows of a batch.
        sessions_per_step: Sessions that each step has a batch of; the mean over these batches is
            minimized. With 2 or more, processes that share the fit read and hold their own
            sessions only, and there may be as many processes; such steps are not recorded
            (``capture``).
        stretch_windows: Consecutive windows that share frames; 1 draws every window by itself.
        learning_rate: Highest learning rate.
        weight_decay: Weight decay of weight matrices and filters (AdamW); 0 is plain Adam.
        schedule: ``cosine``: linear warm-up over the first twentieth, then down to 1 % along a
            cosine over ``max_passes``; ``constant``; ``plateau``: times 0.3 after 5 passes without
            a better validation, down to 0.0001 (the Sensorium competition's).
        gradient_clip: Greatest norm of a step's gradient, or ``None``.
        average_decay: Decay per step of the running average of weights that is validated and kept,
            lower in the first steps of a fit; 0 keeps the weights themselves.
        loss: ``auto`` takes Poisson for counts and inferred spikes, Gaussian for fluorescence;
            ``poisson_sum`` sums Poisson over a batch and scales it by the square root of training
            windows over windows of the batch (the Sensorium competition's). A loss of your own is
            ``FILE.py:function``, a function of (predicted, observed) that returns their mean loss.
        precision: ``bfloat16`` computes most products in half the bits; weights stay float32.
        fast: Whether the core uses hand-written gradients, and recorded steps on a CUDA device
            (``capture``); ``false`` uses PyTorch's own operations, to compare with.
        compile: Whether to compile the encoder (pays on long runs only).
        capture: Whether steps on a CUDA device are recorded once and replayed, which saves the time
            of hundreds of launches; an encoder whose steps wait for the device needs ``false``.
        device: ``auto`` takes a GPU where there is one.
        checkpoint_every_s: Seconds between checkpoints within a pass.
    """

    seed: int = Field(default=0, ge=0)
    seeds: PositiveInt = 1
    core_from: Path | None = None
    frozen_passes: int = Field(default=4, ge=0)
    max_passes: PositiveInt = 14
    patience: PositiveInt = 10
    rounds: PositiveInt = 1
    refit: bool = True
    monitor: Literal["loss", "correlation"] = "loss"
    validation_mean: Literal["windows", "batches"] = "windows"
    batch_windows: PositiveInt = 64
    sessions_per_step: PositiveInt = 1
    stretch_windows: PositiveInt = 8
    learning_rate: PositiveFloat = 2e-3
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    gradient_clip: PositiveFloat | None = 5.0
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    loss: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    fast: bool = True
    compile: bool = False
    capture: bool = True
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    checkpoint_every_s: PositiveFloat = 60.0

    @property
    def is_refitted(self) -> bool:
        """Whether a fit is repeated with validation windows."""
        return self.refit and self.rounds == 1 and self.schedule != "plateau"

    @field_validator("loss")
    @classmethod
    def _check_loss(cls, loss: str) -> str:
        if loss not in LOSS_NAMES and not is_own(loss):
            raise ValueError(f"expected {', '.join(LOSS_NAMES)} or FILE.py:function")
        return loss


class RunConfig(StrictConfig):
    """Everything that a run depends on.

    Args:
        source: Recordings to fit.
        data: Settings of windows.
        split: Roles of bins.
        model: ``name`` of a registered encoder, and its own options beside it; ``timm:NETWORK`` is
            any network of timm, and ``FILE.py:Class`` an encoder of your own.
        training: The recipe.
        search: Options to try, as ``{"model.smoothness": [0.1, 1]}``; every combination is fitted
            and the one with the lowest validation loss is kept, whatever ``monitor`` says.
    """

    source: SourceConfig = SourceConfig()
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    model: dict[str, Any] = Field(default_factory=lambda: {"name": DEFAULT_MODEL})
    training: TrainingConfig = TrainingConfig()
    search: dict[str, list[Any]] = Field(default_factory=dict)

    @field_validator("model")
    @classmethod
    def _name_the_model(cls, model: dict[str, Any]) -> dict[str, Any]:
        name = model.get("name", DEFAULT_MODEL)
        if not isinstance(name, str):
            raise ValueError(
                f"model.name must be a name, got {name!r}; `freegaze models` lists them"
            )
        if name.startswith("timm:"):
            core = model.get("core", {})
            if not isinstance(core, dict):
                raise ValueError(f"model.core of {name} must be options of a network, got {core!r}")
            core = {**core, "network": name.removeprefix("timm:")}
            return {**model, "name": "timm", "core": core}
        return {"name": DEFAULT_MODEL, **model}


def model_config(config: RunConfig) -> StrictConfig:
    """Return the checked configuration of the run's encoder.

    Raises:
        ConfigError: If an option of the model is unknown or wrong.
        RegistryError: If the name is unknown.
    """
    options = dict(config.model)
    name = options.pop("name")
    return build_config(MODELS.get(name).Config, options, where=f"model {name!r}")


def resolve_config(config: RunConfig) -> RunConfig:
    """Return the run's configuration with every option of its model spelled out."""
    options = model_config(config).model_dump(mode="json")
    return config.model_copy(update={"model": {"name": config.model["name"], **options}})
