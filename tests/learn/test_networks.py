"""The networks have the published sizes, and a frozen layer is frozen."""

import pytest
import torch
from torch import Tensor, nn

from tasks.learn.networks import (
    Dropout,
    ElemNetNetwork,
    LayeredNetwork,
    RectifiedLayer,
    ResidualBlock,
    ResidualNetwork,
    build,
)
from tasks.learn.training import Schedule, bfloat16_is_fast, train
from tasks.recipe import ElemNet, Network, Residual

INPUTS = 6
ELEMNET = ElemNet(kind="elemnet")
RESIDUAL = Residual(kind="residual", width=16, blocks=3)
BOTH = pytest.mark.parametrize("network", [RESIDUAL, ELEMNET], ids=["residual", "elemnet"])


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rows(count: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, INPUTS, generator=generator), torch.randn(count, generator=generator)


def dropouts(network: LayeredNetwork) -> dict[int, float]:
    """The probability to drop, by the number of linear layers before it."""
    linear, found = 0, {}
    for module in network.modules():
        linear += isinstance(module, nn.Linear)
        if isinstance(module, nn.Dropout):
            found[linear] = module.p
    return found


def test_elemnet_has_the_published_layers() -> None:
    network = build(ELEMNET, 86, seed=0)
    sizes = [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]
    hidden = [1024] * 4 + [512] * 3 + [256] * 3 + [128] * 3 + [64] * 2 + [32]
    assert len(hidden) == 16
    assert sizes == list(zip([86, *hidden], [*hidden, 1], strict=True))
    assert sum(isinstance(layer, nn.ReLU) for layer in network.modules()) == 16
    assert not list(network.buffers())  # no running statistics


def test_elemnet_keeps_units_with_the_published_probabilities_after_its_four_groups() -> None:
    kept = {layer: round(1 - dropped, 9) for layer, dropped in dropouts(build(ELEMNET, INPUTS, seed=0)).items()}
    assert kept == {4: 0.8, 7: 0.9, 10: 0.7, 13: 0.8}


@pytest.mark.parametrize("drop", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_dropout_drops_as_many_units_as_it_should_independently_and_scales_the_others(
    drop: float, precision: torch.dtype
) -> None:
    torch.manual_seed(0)
    units = torch.ones(999, 401, dtype=precision, requires_grad=True)  # an odd number of units
    passed = Dropout(drop)(units)
    assert passed.dtype == precision
    zero = (passed == 0).float()
    torch.testing.assert_close(zero.mean().item(), drop, atol=0.003, rtol=0)
    assert passed[passed != 0].unique().tolist() == pytest.approx([1 / (1 - drop)], rel=0.004)
    flat = zero.flatten() - zero.mean()
    for lag in (1, 2, 3, 4, 401):  # four fates come from one draw
        assert abs((flat[lag:] * flat[:-lag]).mean().item()) < 0.002
    passed.sum().backward()
    assert torch.equal(units.grad, passed.detach())


@pytest.mark.parametrize(("inputs", "width", "count"), [(86, 1024, 300), (64, 32, 7), (5, 3, 1)])
def test_a_rectified_layer_in_bfloat16_comes_to_what_its_parts_come_to_but_for_rounding(
    inputs: int, width: int, count: int
) -> None:
    if not bfloat16_is_fast():
        pytest.skip("the processor has no bfloat16")
    torch.manual_seed(0)
    layer = RectifiedLayer(nn.Linear(inputs, width), nn.ReLU(), Dropout(0.2)).to(torch.bfloat16)
    found = []
    for made_of in (layer, nn.Sequential(*layer)):
        units = torch.linspace(-1, 1, count * inputs).view(count, inputs).to(torch.bfloat16).requires_grad_()
        torch.manual_seed(1)
        passed = made_of(units)
        slopes = torch.linspace(-1, 1, passed.numel()).view_as(passed)
        found.append([passed, *torch.autograd.grad((passed.float() * slopes).sum(), [units, *layer.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        scale = theirs.float().abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01 * scale)
    assert 0.1 < (found[0][0] == 0).float().mean() < 0.9


def test_dropout_is_off_at_prediction_and_follows_the_seed_in_training() -> None:
    units, layer = torch.randn(7, 5), Dropout(0.5)
    torch.manual_seed(1)
    first = layer(units)
    torch.manual_seed(1)
    assert torch.equal(layer(units), first)
    assert not torch.equal(layer(units), first)
    assert torch.equal(layer.eval()(units), units)


@pytest.mark.parametrize(("network", "layers"), [(RESIDUAL, 4), (ELEMNET, 16)])
def test_the_trunk_lists_the_layers_that_can_be_frozen(network: Network, layers: int) -> None:
    assert len(build(network, INPUTS, seed=0).trunk) == layers


@pytest.mark.parametrize(("network", "width"), [(RESIDUAL, 16), (ELEMNET, 32)])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_one_prediction_per_row(network: Network, width: int, count: int) -> None:
    built = build(network, INPUTS, seed=0).eval()
    features = rows(count)[0]
    assert built(features).shape == (count,)
    assert built.represent(features).shape == (count, width)


@BOTH
def test_a_row_is_predicted_alike_alone_and_among_others(network: Network) -> None:
    built = build(network, INPUTS, seed=0).eval()
    features = rows()[0]
    alone = torch.cat([built(row[None]) for row in features])
    torch.testing.assert_close(built(features), alone)


@BOTH
def test_what_frozen_layers_made_of_the_features_can_be_given_instead_of_them(network: Network) -> None:
    built = build(network, INPUTS, seed=0).eval()
    features = rows()[0]
    for frozen in (0, 1, 3, len(built.trunk)):
        built.freeze(frozen)
        torch.testing.assert_close(built(features, built.units(features, 0, frozen)), built(features))


def test_a_residual_block_starts_as_the_identity() -> None:
    units = torch.randn(5, 16)
    assert torch.equal(ResidualBlock(16)(units), units)
    network = build(RESIDUAL, INPUTS, seed=0)
    features = rows()[0]
    assert torch.equal(network.units(features, 0, 4), network.trunk[0](features))


def test_a_new_residual_network_predicts_its_bias_whatever_the_features() -> None:
    network = build(RESIDUAL, INPUTS, seed=0)
    assert torch.equal(network(rows()[0]), network.deep.bias.expand(24))


def test_a_residual_network_can_be_linear_in_the_features_without_bound() -> None:
    network = build(RESIDUAL, INPUTS, seed=0)
    assert isinstance(network, ResidualNetwork)
    slope = torch.arange(1.0, INPUTS + 1)
    network.direct.weight.data.copy_(slope)
    far = 1e4 * rows()[0]
    torch.testing.assert_close(network(far), far @ slope + network.deep.bias, rtol=1e-4, atol=1.0)


@BOTH
def test_a_regressor_on_what_the_trunk_represents_can_become_the_head(network: Network) -> None:
    built = build(network, INPUTS, seed=0).eval()
    if isinstance(built, ResidualNetwork):
        nn.init.ones_(built.direct.weight)  # must not stay
    features = rows()[0]
    represented = built.represent(features)
    slope = torch.linspace(-1, 1, represented.shape[1])
    built.regress(slope, 2.5)
    torch.testing.assert_close(built(features), represented @ slope + 2.5)


@BOTH
def test_the_same_seed_gives_the_same_weights(network: Network) -> None:
    first = weights(build(network, INPUTS, seed=3))
    torch.rand(7)  # whatever was drawn in between
    assert same(weights(build(network, INPUTS, seed=3)), first)
    assert not same(weights(build(network, INPUTS, seed=4)), first)


@BOTH
def test_building_leaves_the_global_random_state_alone(network: Network) -> None:
    before = torch.get_rng_state()
    build(network, INPUTS, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("network", "frozen"), [(RESIDUAL, 0), (RESIDUAL, 1), (RESIDUAL, 3), (RESIDUAL, 4), (ELEMNET, 5), (ELEMNET, 16)]
)
def test_training_moves_every_layer_but_the_frozen_ones_bit_for_bit(network: Network, frozen: int) -> None:
    built = build(network, INPUTS, seed=0).eval()
    if isinstance(built, ResidualNetwork):
        nn.init.normal_(built.deep.weight)  # a new head of zeros lets nothing through in the first step
    built.freeze(frozen)
    before = [weights(layer) for layer in (*built.trunk, built.deep)]
    train(built, rows(), Schedule(epochs=2, batch=8, rate=0.01, decay=0.5, seed=0))
    moved = [not same(weights(layer), old) for layer, old in zip((*built.trunk, built.deep), before, strict=True)]
    assert moved == [False] * frozen + [True] * (len(built.trunk) - frozen + 1)


@BOTH
def test_frozen_layers_have_no_gradient_and_thawed_ones_have_it_again(network: Network) -> None:
    built = build(network, INPUTS, seed=0)
    for frozen in (2, 0, 4, 1):
        built.freeze(frozen)
        learning = [all(value.requires_grad for value in layer.parameters()) for layer in built.trunk]
        assert learning == [False] * frozen + [True] * (len(built.trunk) - frozen)


def test_frozen_layers_stay_as_at_prediction_while_the_others_train() -> None:
    network = build(ELEMNET, INPUTS, seed=0)
    network.freeze(7)
    network.train()
    assert [layer.training for layer in network.trunk] == [False] * 7 + [True] * 9
    network.eval()
    assert not any(layer.training for layer in network.trunk)


def test_layers_are_as_at_prediction_as_soon_as_they_are_frozen() -> None:
    network = build(ELEMNET, INPUTS, seed=0)
    network.freeze(7)
    assert [layer.training for layer in network.trunk] == [False] * 7 + [True] * 9
    network.freeze(2)
    assert [layer.training for layer in network.trunk] == [False] * 2 + [True] * 14


def test_dropout_is_off_in_frozen_layers_and_on_in_the_others() -> None:
    network = build(ELEMNET, INPUTS, seed=0)
    network.freeze(7)
    network.train()
    features = rows()[0]
    assert torch.equal(network.units(features, 0, 7), network.units(features, 0, 7))
    assert not torch.equal(network.units(features, 0, 10), network.units(features, 0, 10))
    network.freeze(0)
    network.train()
    assert not torch.equal(network.units(features, 0, 7), network.units(features, 0, 7))


@pytest.mark.parametrize(("network", "layers"), [(RESIDUAL, 5), (ELEMNET, 17), (RESIDUAL, -1)])
def test_more_layers_than_there_are_cannot_be_frozen(network: Network, layers: int) -> None:
    built = build(network, INPUTS, seed=0)
    with pytest.raises(ValueError, match=rf"^{layers} layers cannot be frozen: the trunk has {len(built.trunk)}$"):
        built.freeze(layers)
    assert all(value.requires_grad for value in built.parameters())


def test_the_recipe_says_which_network_is_built() -> None:
    assert isinstance(build(ELEMNET, INPUTS, seed=0), ElemNetNetwork)
    assert isinstance(build(RESIDUAL, INPUTS, seed=0), ResidualNetwork)
