"""From a few numbers back to a frame: the mirror image of a convolutional core."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from freegaze.nn.fast.batch_norm import BatchNorm2d


class Decoder(nn.Module):
    """Undoes the blocks of a ``ConvCore`` one by one, from latent numbers to a gray frame.

    Args:
        n_latent: Latent numbers.
        channels: Filters of each block of the core.
        kernels: Height and width of their filters.
        strides: Their steps.
        sizes: (height, width) of the core's first input, then of each block's output.
        ends_rectified: Whether the frame is batch-normalized and rectified, as in the original;
            otherwise it may take any value.
    """

    def __init__(
        self,
        n_latent: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        ends_rectified: bool,
    ) -> None:
        super().__init__()
        self.map_size = (channels[-1], *sizes[-1])
        self.expand = nn.Linear(n_latent, channels[-1] * sizes[-1][0] * sizes[-1][1])
        self.blocks = nn.Sequential()
        for block in reversed(range(len(channels))):
            n_out = channels[block - 1] if block else 1
            kernel, stride = kernels[block], strides[block]
            missing = [
                wanted - ((side - 1) * stride + kernel)
                for wanted, side in zip(sizes[block], sizes[block + 1], strict=True)
            ]
            has_norm = block > 0 or ends_rectified
            self.blocks.append(
                nn.Sequential(
                    nn.ConvTranspose2d(
                        channels[block],
                        n_out,
                        kernel,
                        stride,
                        output_padding=(missing[0], missing[1]),
                    ),
                    *((BatchNorm2d(n_out), nn.ReLU()) if has_norm else ()),
                )
            )

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the frames, as large as the core's first block saw them."""
        maps = self.expand(latent).relu().unflatten(1, self.map_size)
        return self.blocks(maps)
