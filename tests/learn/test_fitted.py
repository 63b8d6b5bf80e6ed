"""A fitted model predicts the same bits after it went through its files, which hold nothing but numbers and text."""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.featurize import Table
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.networks import ResidualNetwork, build
from tasks.recipe import ElemNet, Network, Residual

ADDITIVE = np.array([-40.1, 25.3, 1 / 3])
TRUE = np.array([-50.0, 20.0, -250.0, 90.0])


def model(network: Network, members: int) -> Fitted:
    networks = [build(network, 8, seed=member).eval() for member in range(members)]
    for place, member in enumerate(networks):
        torch.nn.init.constant_(member.deep.bias, place + 0.5)
        if isinstance(member, ResidualNetwork):
            torch.nn.init.normal_(member.deep.weight, generator=torch.Generator().manual_seed(place))
        member.freeze(2)
    return Fitted(networks, ADDITIVE, 17.3, network)


def counts(rows: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).integers(0, 6, size=(rows, 4)).astype(float)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("network", [Residual(kind="residual", width=16, blocks=2), ElemNet(kind="elemnet")])
def test_predictions_after_files_are_bit_equal(make: Callable[..., Table], network: Network, members: int) -> None:
    fitted, table = model(network, members), make(20, 1)
    files = fitted.files()
    again = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    assert again.predict(table).tobytes() == fitted.predict(table).tobytes()
    assert len(again.networks) == members
    assert [member.frozen for member in again.networks] == [2] * members
    assert not any(member.training for member in again.networks)
    assert again.files() == files


def test_weights_are_safetensors_and_the_rest_json(make: Callable[..., Table]) -> None:
    fitted = model(Residual(kind="residual", width=16, blocks=2), 3)
    files = fitted.files()
    assert set(files) == {"weights.safetensors", "model.json"}
    weights = files["weights.safetensors"]
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    assert {entry["dtype"] for entry in tensors.values()} == {"F32"}
    spans = sorted(entry["data_offsets"] for entry in tensors.values())
    assert [end for _, end in spans] == [*[start for start, _ in spans[1:]], len(weights) - 8 - length]  # no gaps
    assert set(tensors) == {f"{m}.{name}" for m in range(3) for name in fitted.networks[m].state_dict()}
    start, end = tensors["1.deep.weight"]["data_offsets"]
    stored = np.frombuffer(weights[8 + length + start : 8 + length + end], "<f4")
    np.testing.assert_array_equal(stored, fitted.networks[1].deep.weight.detach().numpy()[0])
    about = json.loads(files["model.json"])
    assert about["additive"] == ADDITIVE.tolist()
    assert (about["members"], about["inputs"], about["frozen"]) == (3, make(1, 0).features.shape[1], 2)


def test_pickled_weights_are_refused() -> None:
    fitted = model(Residual(kind="residual", width=16, blocks=2), 1)
    with pytest.raises(Exception, match=r"(?i)header"):
        Fitted.from_files(b"\x80\x04\x95" + bytes(200), fitted.files()["model.json"])


def test_a_prediction_is_the_sum_over_the_atoms_and_the_scaled_mean_of_the_members(make: Callable[..., Table]) -> None:
    fitted, table = model(Residual(kind="residual", width=16, blocks=2), 3), make(7, 1)
    features = torch.from_numpy(table.features)
    members = torch.stack([member(features) for member in fitted.networks]).detach().numpy()
    expected = table.elements @ ADDITIVE + 17.3 * members.mean(axis=0)
    np.testing.assert_allclose(fitted.predict(table), expected, rtol=1e-6)
    assert fitted.predict(table).dtype == np.float64


def test_the_remainder_is_what_the_networks_must_predict(make: Callable[..., Table]) -> None:
    fitted, table = model(Residual(kind="residual", width=16, blocks=2), 1), make(7, 1)
    restored = table.elements @ ADDITIVE + 17.3 * fitted.remainder(table).numpy()
    np.testing.assert_allclose(restored, table.values, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([-1, 1]))
def test_contributions_are_recovered_in_spite_of_gross_outliers(seed: int, sign: int) -> None:
    random = np.random.default_rng(seed)
    elements = counts(300, seed)
    values = elements @ TRUE + random.normal(0, 5, 300)
    values[random.choice(300, 15, replace=False)] += sign * 5000
    np.testing.assert_allclose(fit_additive(elements, values), TRUE, atol=2)
    assert np.abs(np.linalg.lstsq(elements, values, rcond=None)[0] - TRUE).max() > 10


def test_contributions_are_exact_where_values_are_additive() -> None:
    elements = counts(50)
    np.testing.assert_allclose(fit_additive(elements, elements @ TRUE), TRUE, atol=0.01)


@pytest.mark.parametrize("rows", [1, 5])
def test_values_that_do_not_vary_are_contributions_too(rows: int) -> None:
    fitted = fit_additive(np.tile([1.0, 4.0], (rows, 1)), np.full(rows, -74.5))
    assert fitted @ [1, 4] == pytest.approx(-74.5, rel=0.01)


def test_the_unit_of_the_values_makes_no_difference() -> None:
    elements = counts(100)
    values = elements @ TRUE + np.random.default_rng(1).normal(0, 5, 100)
    np.testing.assert_allclose(fit_additive(elements, values / 4184), fit_additive(elements, values) / 4184, rtol=1e-3)


def test_an_element_that_no_row_has_keeps_its_prior_or_else_the_median() -> None:
    elements = counts(60)
    elements[:, 2] = 0
    prior = np.array([-45.0, 30.0, -123.456, 80.0])
    values = elements @ TRUE + np.random.default_rng(1).normal(0, 1, 60)
    fitted = fit_additive(elements, values, prior)
    assert fitted[2] == prior[2]
    np.testing.assert_allclose(fitted[[0, 1, 3]], TRUE[[0, 1, 3]], atol=1)
    assert fit_additive(elements, values)[2] == pytest.approx(np.median(values / elements.sum(axis=1)))


def test_values_that_the_prior_explains_leave_it_as_it_is() -> None:
    elements = counts(60)
    np.testing.assert_allclose(fit_additive(elements, elements @ TRUE, TRUE), TRUE, atol=1e-6)
