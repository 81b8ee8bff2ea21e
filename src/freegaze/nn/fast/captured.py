"""Training steps recorded on a GPU and replayed: one launch instead of hundreds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from freegaze.errors import ConfigError

Step = Callable[[str, Tensor], dict[str, Tensor]]
"""From a session and the first target bins of sequences on the device to logged values."""

N_EAGER = 3
"""Steps of a shape that run as they are before one is recorded: they make what is kept between
steps, such as the optimizer's moments."""


class CapturedSteps:
    """Takes steps by replaying a recorded one of the same session and shape.

    Work of a step on the host is not recorded, so that nothing may change from step to step but the
    first target bins, the random seed and the contents of tensors (a learning rate is one). Random
    numbers continue as in steps that are not recorded.

    Args:
        step: Works on the device only, without waiting for it.
        device: A CUDA device.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self.step = step
        self.stream = torch.cuda.Stream(device)
        self._n_taken: Counter[tuple[str, int]] = Counter()
        self._recorded: dict[
            tuple[str, int], tuple[torch.cuda.CUDAGraph, Tensor, dict[str, Tensor]]
        ] = {}

    def __call__(self, session: str, firsts: Tensor) -> dict[str, Tensor]:
        """Take a step; the result is valid until the next one.

        Raises:
            ConfigError: If the encoder does something that cannot be recorded.
        """
        key = session, len(firsts)
        self._n_taken[key] += 1
        if self._n_taken[key] <= N_EAGER:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                logged = self.step(session, firsts)
            torch.cuda.current_stream().wait_stream(self.stream)
            return logged
        if key not in self._recorded:
            self._recorded[key] = self._record(session, firsts.clone())
        graph, places, logged = self._recorded[key]
        places.copy_(firsts)
        graph.replay()
        return logged

    def _record(
        self, session: str, places: Tensor
    ) -> tuple[torch.cuda.CUDAGraph, Tensor, dict[str, Tensor]]:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                logged = self.step(session, places)
        except RuntimeError as error:
            raise ConfigError(
                "this encoder's steps cannot be recorded on the GPU "
                f"({str(error).splitlines()[0]}); set training.capture=false"
            ) from error
        return graph, places, logged
