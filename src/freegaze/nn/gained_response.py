"""Responses from a visual drive and behavior: gain, offset, and a link of learned softness."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.nn.precision import at_least_float32
from freegaze.nn.response import LOWEST_MEAN_RESPONSE

GREATEST_LOG_GAIN = 2.0
"""Gains of behavior are between exp(-2) and exp(2)."""

STEPS = 40
"""Iterations of L-BFGS at most."""

PRIOR_SD = 0.3
"""Prior standard deviation of log gains, and of offsets in units of the mean response, per standard
deviation of a behavior feature."""

SOFTNESS_SD = 1.0
"""Prior standard deviation of the log of a link's softness around that of the mean response."""

LEAST_RATE = 1e-6
"""Expected count below which a Poisson likelihood is not evaluated."""

LEAST_UNIT = 1e-6
"""Smallest mean response, or standard deviation, that parameters are scaled by."""


class GainedResponse(nn.Module):
    """Predicts responses from each neuron's visual drive and from behavior.

    The response is ``link((drive + bias) * gain(behavior) + offset(behavior))``: gains are
    exponentials, offsets linear. The link of counts is ``s * softplus(x / s)`` with a softness
    ``s`` for each neuron, between a rectifier and an exponential; that of fluorescence is the
    identity. A share of the result's distance from a mean response, 1 at first, is predicted.

    Args:
        n_neurons: Number of neurons.
        n_features: Behavior features.
        is_signed: Whether responses have any sign.

    Attributes:
        mean: Mean response of each neuron.
        share: Share of the distance from it that is predicted, 0 to 1.
    """

    mean: Tensor
    share: Tensor

    def __init__(self, n_neurons: int, n_features: int, is_signed: bool) -> None:
        super().__init__()
        self.is_signed = is_signed
        self.bias = nn.Parameter(torch.zeros(n_neurons))
        self.gain = nn.Parameter(torch.zeros(n_features, n_neurons))
        self.offset = nn.Parameter(torch.zeros(n_features, n_neurons))
        # Without a link there is no softness.
        softness = None if is_signed else nn.Parameter(torch.zeros(n_neurons))
        self.log_softness = softness
        self.register_buffer("mean", torch.zeros(n_neurons))
        self.register_buffer("share", torch.ones(n_neurons))

    def forward(
        self, visual: Float[Tensor, "batch neuron"], behavior: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch neuron"]:
        """Return expected responses."""
        drive = at_least_float32(visual) + self.bias
        if len(self.gain):
            log_gain = GREATEST_LOG_GAIN * torch.tanh(behavior @ self.gain / GREATEST_LOG_GAIN)
            drive = drive * log_gain.exp() + behavior @ self.offset
        if self.log_softness is not None:
            softness = self.log_softness.exp()
            drive = softness * F.softplus(drive / softness)
        return self.mean + self.share * (drive - self.mean)

    def start_from(self, mean_response: Float[Tensor, " neuron"]) -> None:
        """Set bias and softness so that a drive of zero predicts each neuron's mean response.

        The share is 1 again.
        """
        self.mean.copy_(mean_response)
        self.share.fill_(1)
        if self.log_softness is None:
            self.bias.data.copy_(mean_response)
            return
        mean = mean_response.clamp_min(LOWEST_MEAN_RESPONSE)
        self.log_softness.data.copy_(mean.log())
        self.bias.data.copy_(mean * torch.log(torch.expm1(torch.ones_like(mean))))

    def fit(
        self,
        visual: Float[Tensor, "window neuron"],
        behavior: Float[Tensor, "window feature"],
        responses: Float[Tensor, "window neuron"],
    ) -> Float[Tensor, " neuron"]:
        """Fit all parameters, and the scale of each neuron's visual drive.

        The likelihood is Poisson, or Gaussian for signed responses. Priors keep gains, offsets and
        softness that few windows determine near where a fit starts.

        Args:
            visual: Centered drives, of weights that were fitted without these windows.
            behavior: Recent behavior.
            responses: Observed responses.

        Returns:
            Factor on the visual drive of each neuron, never negative.
        """
        unit = responses.std(0) if self.is_signed else responses.mean(0)
        unit = unit.clamp_min(LEAST_UNIT)
        self.start_from(responses.mean(0))
        # Every number is of order 1, so that one step size suits all.
        sizes = {n: torch.ones_like(p) for n, p in self.named_parameters()}
        sizes |= {"bias": unit, "offset": unit.expand_as(self.offset)}
        start = {n: p.detach() / sizes[n] for n, p in self.named_parameters()}
        free = {n: v.clone().requires_grad_() for n, v in start.items()}
        scale = torch.ones_like(unit).requires_grad_()
        weight = 1 / (len(responses) * (unit.square() if self.is_signed else unit))
        information = weight * (unit.square() if self.is_signed else 1)

        def objective() -> Tensor:
            optimizer.zero_grad()
            with torch.enable_grad():
                values = {n: v * sizes[n] for n, v in free.items()}
                rates = torch.func.functional_call(self, values, (scale * visual, behavior))
                prior = (free["gain"] / PRIOR_SD).square().sum(0)
                prior = prior + (free["offset"] / PRIOR_SD).square().sum(0)
                if self.log_softness is not None:
                    away = free["log_softness"] - start["log_softness"]
                    prior = prior + (away / SOFTNESS_SD).square()
                loss = self.losses(rates, responses).sum(0) * weight
                total = (loss + 0.5 * prior * information).sum()
                total.backward()
            return total

        optimizer = torch.optim.LBFGS(
            [scale, *free.values()], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe"
        )
        optimizer.step(objective)
        for name, parameter in self.named_parameters():
            parameter.data.copy_(free[name].detach() * sizes[name])
        return scale.detach().clamp_min(0)

    def losses(
        self, rates: Float[Tensor, "*batch neuron"], responses: Float[Tensor, "*batch neuron"]
    ) -> Float[Tensor, "*batch neuron"]:
        """Return negative log likelihoods up to constants, of Poisson or Gaussian responses."""
        if self.is_signed:
            return 0.5 * (rates - responses).square()
        rates = rates.clamp_min(LEAST_RATE)
        return rates - responses * rates.log()
