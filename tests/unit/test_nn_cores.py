"""The fast core computes exactly what plain layers compute."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from freegaze.errors import ConfigError
from freegaze.nn import cores
from freegaze.nn.cores import ConvCore, CoreConfig, set_fast
from freegaze.nn.fast.convolution import convolve, convolve_gray, weight_gradient
from freegaze.nn.fast.dropout import rectify_and_drop


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.integers(1, 9),
    stride=st.integers(1, 5),
    extra=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    seed=st.integers(0, 1000),
)
def test_gray_convolution_equals_conv2d(
    kernel: int, stride: int, extra: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    frames = torch.randn(2, 1, kernel + extra[0], kernel + extra[1], dtype=torch.float64)
    weight = torch.randn(3, 1, kernel, kernel, dtype=torch.float64)
    bias = torch.randn(3, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (frames, weight, bias)]
    ours, plain = convolve_gray(*inputs, stride), F.conv2d(*inputs, stride=stride)
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    gradients = [torch.autograd.grad(maps, inputs, direction) for maps in (ours, plain)]
    for ours_grad, plain_grad in zip(*gradients, strict=True):
        torch.testing.assert_close(ours_grad, plain_grad)


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.integers(1, 5),
    extra=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    seed=st.integers(0, 1000),
)
def test_gradient_of_filters_equals_that_of_conv2d(
    kernel: tuple[int, int], stride: int, extra: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    stride = min(stride, kernel[1])
    maps = torch.randn(2, 3, kernel[0] + extra[0], kernel[1] + extra[1], dtype=torch.float64)
    weight = torch.randn(4, 3, *kernel, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(maps, weight, stride=stride)
    direction = torch.randn_like(plain)
    (expected,) = torch.autograd.grad(plain, weight, direction)
    torch.testing.assert_close(weight_gradient(maps, weight.shape, direction, stride), expected)


@pytest.mark.parametrize("needs_maps", [True, False])
def test_large_filters_go_back_as_in_conv2d(needs_maps: bool) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 128, 13, 12, requires_grad=needs_maps)
    weight = torch.randn(8, 128, 7, 7, requires_grad=True)
    inputs = [maps, weight] if needs_maps else [weight]
    plain, ours = F.conv2d(maps, weight, stride=2), convolve(maps, weight, None, stride=2)
    assert type(plain.grad_fn) is not type(ours.grad_fn)
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    gradients = [torch.autograd.grad(out, inputs, direction) for out in (ours, plain)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-5)


def plain_core(core: ConvCore) -> nn.Sequential:
    """The same weights in PyTorch's own layers."""
    layers: list[nn.Module] = [nn.AvgPool2d(core.downsample)]
    for block in core.blocks:
        own = block.convolution
        sizes = (own.in_channels, own.out_channels, own.kernel_size, own.stride)
        convolution = nn.Conv2d(*sizes, bias=own.bias is not None)
        norm = nn.BatchNorm2d(own.out_channels)
        convolution.load_state_dict(own.state_dict())
        norm.load_state_dict(block.norm.state_dict())
        layers += [convolution, norm, nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_training", [True, False])
def test_core_equals_plain_layers(has_bias: bool, is_training: bool) -> None:
    torch.manual_seed(0)
    config = CoreConfig(channels=(4, 6), kernels=(5, 3), strides=(2, 1), bias=has_bias)
    core = config.build().double()
    plain = plain_core(core).double()
    frames = torch.randn(3, 1, 20, 23, dtype=torch.float64)
    for _ in range(2):  # twice, so that running statistics matter
        core.train(is_training), plain.train(is_training)
        torch.testing.assert_close(core(frames), plain(frames))
    core.eval(), plain.eval()
    torch.testing.assert_close(core(frames), plain(frames))
    assert core.blocks[0].norm.num_batches_tracked == (2 if is_training else 0)


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_plain_twin_draws_and_computes_the_same(
    dropout: float, is_training: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    config = CoreConfig(channels=(4, 6), kernels=(5, 3), strides=(2, 1), bias=True, dropout=dropout)
    fast = config.build(2).to(dtype).train(is_training)
    plain = copy.deepcopy(fast)
    set_fast(plain, False)
    frames = torch.randn(3, 2, 40, 36, dtype=dtype)
    found = []
    for core in (fast, plain):
        torch.manual_seed(1)
        maps = core(frames)
        maps.square().sum().backward()
        found.append([maps, *(p.grad for p in core.parameters()), *core.buffers()])
    near = 1e-4 if dtype == torch.float32 else 1e-10
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=near, atol=near)
    assert found[0][0].count_nonzero() > 100


def test_the_plain_twin_has_pytorchs_gradients_only() -> None:
    core = CoreConfig(channels=(3, 4), kernels=(3, 3), strides=(1, 1), dropout=0.5).build()
    for is_fast in (True, False):
        set_fast(nn.ModuleDict({"inside": core}), is_fast)
        pending, known = [core.train()(torch.randn(2, 1, 14, 14)).grad_fn], set()
        while pending:
            node = pending.pop()
            if node is not None and node not in known:
                known.add(node)
                pending += [following for following, _ in node.next_functions]
        own = [
            node for node in known if isinstance(node, torch.autograd.function.BackwardCFunction)
        ]
        assert bool(own) is is_fast


def test_dropout_can_be_on_while_normalization_stands_still() -> None:
    torch.manual_seed(0)
    core = ConvCore(1, (4,), (3,), (1,), 1, 0.5, has_bias=True).train()
    norm = core.blocks[0].norm.eval()
    norm.running_mean += torch.rand(4)
    norm.running_var += torch.rand(4)
    frames = torch.randn(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in core.state_dict().items()}
    dropped = core(frames)
    assert all(torch.equal(value, before[name]) for name, value in core.state_dict().items())
    kept = dropped != 0
    whole = core.eval()(frames)
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])
    n_positive = int((whole > 0).sum())  # four sd of a fair coin around half of them
    assert abs(int(kept.sum()) - n_positive / 2) < 2 * n_positive**0.5
    assert n_positive > 50


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own preparation
@pytest.mark.parametrize("stride", [1, 2])
def test_forward_derivatives_of_a_convolution_are_its_own(stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps, change = torch.randn(2, 3, 2, 9, 8, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(5, generator=generator, dtype=torch.float64)
    found = torch.func.jvp(lambda m: convolve(m, weight, bias, stride), (maps,), (change,))
    expected = torch.func.jvp(lambda m: F.conv2d(m, weight, bias, stride), (maps,), (change,))
    torch.testing.assert_close(found, expected)
    assert found[1].abs().max() > 0.1


@pytest.mark.parametrize("part_elements", [1, 700, cores.PART_ELEMENTS])
def test_gradients_equal_those_of_plain_layers(part_elements: int, monkeypatch) -> None:
    monkeypatch.setattr(cores, "PART_ELEMENTS", part_elements)  # parts of 1, 2 and all 3 frames
    torch.manual_seed(0)
    core = CoreConfig(channels=(4, 6), kernels=(5, 3), strides=(2, 2)).build().double().train()
    plain = plain_core(core).double().train()
    frames = torch.randn(3, 1, 20, 23, dtype=torch.float64)
    for model in (core, plain):
        model(frames).square().sum().backward()
    for ours, theirs in zip(core.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(core.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_evaluation_holds_the_large_maps_of_one_part_at_a_time(monkeypatch) -> None:
    torch.manual_seed(0)
    core = CoreConfig(channels=(4, 6), kernels=(5, 3), strides=(1, 2), downsample=1).build().eval()
    frames = torch.randn(7, 1, 20, 20)
    whole = core(frames)
    monkeypatch.setattr(cores, "PART_ELEMENTS", 2 * 4 * 16 * 16)  # two frames
    seen: list[tuple[int, int]] = []
    convolve_part = cores._convolve

    def watched(maps, *rest):
        seen.append((len(maps), maps.shape[1]))
        return convolve_part(maps, *rest)

    monkeypatch.setattr(cores, "_convolve", watched)
    torch.testing.assert_close(core(frames), whole)
    assert seen == [(2, 1), (2, 4)] * 3 + [(1, 1), (1, 4)]


def test_training_goes_back_through_a_part_at_a_time(monkeypatch) -> None:
    """So that the gradient of only one part of the large maps is held."""
    monkeypatch.setattr(cores, "PART_ELEMENTS", 1)
    core = CoreConfig(channels=(4, 6), kernels=(5, 3), strides=(1, 2), downsample=1, dropout=0.5)
    maps = core.build().train()(torch.randn(3, 1, 20, 20, requires_grad=True))
    order: list[str] = []
    pending, known = [maps.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in known:
            known.add(node)
            node.register_prehook(lambda _, node=node: order.append(node.name()))
            pending += [following for following, _ in node.next_functions]
    maps.sum().backward()
    inner = [n for n in order if "Convolution" in n or "Rectify" in n][-9:]
    assert (
        inner
        == ["ConvolutionBackward0", "_RectifyAndHalveBackward"] * 3 + ["ConvolutionBackward0"] * 3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_dropout_drops_the_right_share_everywhere(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    n = 400_000  # 8 standard deviations of a share are 8 * sqrt(.25 / 400,000) = 0.0063
    kept = rectify_and_drop(torch.ones(n, dtype=dtype), probability) != 0
    assert kept.double().mean().item() == pytest.approx(1 - probability, abs=0.0063)
    by_place = kept[: n // 64 * 64].view(-1, 64).double().mean(0)  # 6,250 draws at each place
    assert (by_place - (1 - probability)).abs().max() < 5 * (0.25 / 6250) ** 0.5
    neighbors = (kept[1:] & kept[:-1]).double().mean().item()
    assert neighbors == pytest.approx((1 - probability) ** 2, abs=0.0063)


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.3])
def test_dropout_keeps_positive_values_and_their_gradients(probability: float) -> None:
    torch.manual_seed(1)
    start = torch.randn(2, 5, 7, 3, requires_grad=True)
    dropped = rectify_and_drop(start.contiguous(memory_format=torch.channels_last) + 0, probability)
    (3 * dropped).sum().backward()
    kept = dropped != 0
    assert torch.equal(dropped[kept], start[kept])
    assert (start[kept] > 0).all()
    assert torch.equal(start.grad, 3.0 * kept)


def test_a_gradient_is_written_only_over_maps_that_nobody_else_sees() -> None:
    torch.manual_seed(0)
    start = torch.randn(2, 3, 5, 4, requires_grad=True)
    inner, outer = (rectify_and_drop(start + 0, 0.5, is_inner=i) for i in (True, False))
    for dropped in (inner, outer):
        kept = dropped.detach() > 0
        (gradient,) = torch.autograd.grad(dropped.square().sum(), start, retain_graph=True)
        assert torch.equal(gradient, 2 * start.detach() * kept)
    assert torch.equal(outer[outer > 0], start[outer > 0])
    torch.autograd.grad(outer.square().sum(), start)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(inner.sum(), start)


def test_what_a_core_returns_outlives_the_way_back() -> None:
    torch.manual_seed(0)
    core = ConvCore(1, (4, 3), (3, 3), (1, 1), 1, 0.5, has_bias=False).train()
    maps = core(torch.randn(3, 1, 9, 9))
    before = maps.detach().clone()
    maps.square().sum().backward()
    assert torch.equal(maps, before)


def test_dropout_follows_the_seed() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(rectify_and_drop(torch.ones(1000), 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_dropout_leaves_the_mean_of_a_block_unchanged() -> None:
    """Deviation Q19 keeps the scale: what is kept is doubled."""
    torch.manual_seed(0)
    frames = torch.randn(64, 1, 20, 20)
    config = CoreConfig(channels=(8,), kernels=(5,), strides=(1,), dropout=0.5)
    core = config.build().train()
    with_dropout = core(frames).mean()
    core.blocks[0].dropout = 0.0
    # 131,072 values of sd about 0.6: the mean of one mask's noise has sd 0.002.
    assert with_dropout.item() == pytest.approx(core(frames).mean().item(), abs=0.01)


def test_map_size_is_computed() -> None:
    core = CoreConfig.paper().build()
    assert core.map_size((60, 80)) == (32, 3, 5)
    assert core.eval()(torch.zeros(1, 1, 60, 80)).shape[1:] == (32, 3, 5)


def test_frames_too_small_are_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match=r"30 x 40 px are too small.*block 2.*fewer blocks"):
        CoreConfig.paper().build().map_size((30, 40))


def test_blocks_need_equally_many_numbers() -> None:
    with pytest.raises(ValueError, match="one number per block"):
        CoreConfig(channels=(4, 4), kernels=(3,), strides=(1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        CoreConfig(channels=(4,), kernels=(3,), strides=(0,))
