"""The simulation: nothing that was not measured has a say, and its figures are those of what happened."""

import numpy as np
import pytest

from tasks.errors import MatliftError
from tasks.suggest import Measured, Simulation, simulate
from tasks.suggest.account import headline, picture, table
from tasks.suggest.belief import Array, Belief, Vector
from tasks.suggest.simulation import FOLDS, needed, run_job, sizes_of

ROWS = 150


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Many rows about which there is little to learn, and a few others."""
    draw = np.random.default_rng(0)
    near = 0.1 * draw.normal(size=(ROWS * 2 // 3, 3))
    rows = np.vstack([near, draw.uniform(-3, 3, size=(ROWS - len(near), 3))]).astype(np.float32)
    direct = draw.normal(size=ROWS)
    missed = np.sin(2 * rows[:, 0]) + rows[:, 1] ** 2 + 0.01 * draw.normal(size=ROWS)
    return Measured(rows, direct + missed, direct, frozenset(map(str, range(ROWS))))


@pytest.fixture(scope="module")
def simulated(measured: Measured) -> Simulation:
    return simulate(measured, None, draws=2)


def test_suggestions_save_measurements_where_the_lot_repeats_itself(simulated: Simulation) -> None:
    assert simulated.needed is not None
    assert simulated.needed < 0.8 * simulated.sizes[-1]
    low, high = simulated.interval()
    assert low <= simulated.needed <= high


def test_the_same_rows_give_the_same_figures(measured: Measured, simulated: Simulation) -> None:
    held_out, errors = run_job(measured, None, 1, 2)
    np.testing.assert_allclose(simulated.errors[1][:, :, held_out], errors)


def test_every_row_is_held_out_once_in_each_draw(measured: Measured) -> None:
    held_out = [run_job(measured, None, 0, fold)[0] for fold in range(FOLDS)]
    assert sorted(np.concatenate(held_out)) == list(range(ROWS))


def test_only_what_was_measured_is_learnt_from(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    places = {row.tobytes(): place for place, row in enumerate(measured.activations)}
    after = Belief.after.__func__  # type: ignore[attr-defined]

    def watched(cls: type[Belief], rows: Array, missed: Vector, others: Array) -> Belief:
        taken, left = ([places[row.tobytes()] for row in some] for some in (rows, others))
        np.testing.assert_array_equal(missed, measured.missed[taken])
        assert not {*taken, *left} & set(held_out.tolist())
        assert not set(taken) & set(left)
        seen.append(len(set(taken)))
        return after(cls, rows, missed, others)  # type: ignore[no-any-return]

    held_out, _ = run_job(measured, None, 0, 0)
    monkeypatch.setattr(Belief, "after", classmethod(watched))
    run_job(measured, None, 0, 0)
    assert seen == [*sizes_of(ROWS).tolist()] * 2


def test_values_of_rows_held_out_change_nothing_but_their_errors(measured: Measured) -> None:
    held_out, errors = run_job(measured, None, 0, 0)
    values = measured.values.copy()
    values[held_out] += 1000
    shifted = Measured(measured.activations, values, measured.direct, measured.keys)
    _, far = run_job(shifted, None, 0, 0)
    np.testing.assert_allclose(np.abs(far - 1000), errors, atol=1e-9)


def test_no_error_is_counted_beyond_the_limits(measured: Measured) -> None:
    inside = Measured(measured.activations, np.clip(measured.values, 0, 1), measured.direct, measured.keys)
    _, errors = run_job(inside, (0.0, 1.0), 0, 0)
    assert errors.max() <= 1


@pytest.mark.parametrize(
    ("suggested", "expected"),
    [([4, 3, 2, 1], 30), ([4, 2.5, 1, 1], 20 + 10 / 3), ([2, 1, 1, 1], 10), ([1, 3, 1, 1], 25), ([4, 1, 3, 2.5], None)],
)
def test_as_many_are_needed_as_stay_down_where_the_lot_ends(suggested: list[float], expected: float | None) -> None:
    curves = np.array([[4, 3.5, 3, 2], suggested])
    assert needed(np.array([10, 20, 30, 40]), curves) == (expected and pytest.approx(expected))


def test_what_came_of_it_is_said_shown_and_drawn(simulated: Simulation) -> None:
    said = headline(simulated, "eV")
    assert "% fewer (95 % interval" in said
    assert len(table(simulated)) == len(simulated.sizes)
    assert picture(simulated, "Eg", "eV").startswith(b"\x89PNG")
    backwards = Simulation(simulated.sizes, simulated.errors[:, ::-1])
    assert headline(backwards, "eV").startswith("Suggestions save nothing here")
    picture(backwards, "Eg", "eV")


def test_a_few_rows_say_nothing(measured: Measured) -> None:
    with pytest.raises(MatliftError, match="50 measurements are too few"):
        simulate(measured.take(np.arange(50)), None)
