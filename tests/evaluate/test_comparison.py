"""Every method is judged on rows that nothing it was fitted with, or chosen by, has seen."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.evaluate.baselines import BASELINES
from tasks.evaluate.choices import Choices, Tried, _beats, validate, weigh
from tasks.evaluate.comparison import TRANSFER, Job, Outcome, Setting, run_job, run_jobs
from tasks.evaluate.files import compare
from tasks.evaluate.folds import grouped_folds, subset
from tasks.featurize import Table
from tasks.featurize.scale import Scale
from tasks.handles import Checkpoint, Comparison, Features
from tasks.learn import Choice, Fitted, fit_choice
from tasks.recipe import Evaluation, Transfer
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet, units

METHODS = {"scratch", "direct", "featurizer", "difference", "fine-tune", "stack", "mean", "ridge", "boosted trees"}
WITH_SOURCE = {
    *(Choice("fine-tune", frozen) for frozen in (0, 2)),
    *map(Choice, ("direct", "featurizer", "difference", "stack")),
}
FULL = Job(1, None)


@pytest.fixture(scope="module")
def setting(make_setting: Callable[..., Setting], target: Table) -> Setting:
    return make_setting(target)


@pytest.fixture(scope="module")
def outcome(setting: Setting) -> Outcome:
    """The second of three folds, all other rows to train on."""
    return run_job(setting, FULL)


@pytest.fixture
def source(checkpoint: dict[str, bytes]) -> Fitted:
    return Fitted.from_files(checkpoint["weights.safetensors"], checkpoint["model.json"])


def other_values(target: Table, rows: np.ndarray) -> Table:
    """The target with gross errors in the values of some rows."""
    values = target.values.copy()
    values[rows] += 1e4
    return replace(target, values=values)


def same_bits(one: Outcome, other: Outcome) -> dict[str, bool]:
    return {method: one.predictions[method].tobytes() == other.predictions[method].tobytes() for method in METHODS}


def test_every_method_predicts_the_rows_held_out(setting: Setting, outcome: Outcome) -> None:
    assert outcome.held_out.tolist() == np.flatnonzero(setting.folds() == 1).tolist()
    assert set(outcome.predictions) == {*METHODS, TRANSFER}
    assert set(outcome.seconds) == METHODS
    assert outcome.trained_on == len(setting.target) - len(outcome.held_out)
    for predicted in outcome.predictions.values():
        assert predicted.shape == outcome.held_out.shape
        assert np.isfinite(predicted).all()


def test_no_key_is_both_trained_on_and_held_out(setting: Setting, outcome: Outcome) -> None:
    keys = setting.target.keys
    assert not set(keys[outcome.held_out]) & set(np.delete(keys, outcome.held_out))


def test_held_out_values_influence_no_prediction_and_no_choice(setting: Setting, outcome: Outcome) -> None:
    changed = run_job(replace(setting, target=other_values(setting.target, outcome.held_out)), FULL)
    assert all(same_bits(changed, outcome).values())
    assert changed.choices.inner == outcome.choices.inner
    assert changed.choices.best == outcome.choices.best


def test_training_values_do(setting: Setting, outcome: Outcome) -> None:
    training = np.flatnonzero(setting.folds() != 1)
    changed = run_job(replace(setting, target=other_values(setting.target, training[:5])), FULL)
    assert same_bits(changed, outcome) == {method: method == "direct" for method in METHODS}


def test_a_smaller_size_compares_transfer_and_scratch_on_a_part_of_the_training_rows(
    setting: Setting, outcome: Outcome
) -> None:
    smaller = run_job(setting, Job(1, 30))
    assert smaller.trained_on == 30
    assert smaller.held_out.tolist() == outcome.held_out.tolist()
    assert set(smaller.predictions) == {"scratch", TRANSFER}
    assert set(smaller.choices.inner) == WITH_SOURCE


def test_a_smaller_size_uses_no_row_but_its_own(setting: Setting) -> None:
    training = np.flatnonzero(setting.folds() != 1)
    own = subset(training, setting.target.keys, 30, f"{setting.evaluation.seed}/0")
    others = np.setdiff1d(np.arange(len(setting.target)), own)
    plain, changed = (
        run_job(s, Job(1, 30)) for s in (setting, replace(setting, target=other_values(setting.target, others)))
    )
    for method in ("scratch", TRANSFER):
        assert plain.predictions[method].tobytes() == changed.predictions[method].tobytes()
    assert plain.choices.inner == changed.choices.inner


def test_another_draw_is_another_training_set_of_the_size(setting: Setting) -> None:
    first, second = (run_job(setting, Job(1, 30, draw)) for draw in (0, 1))
    assert first.trained_on == second.trained_on == 30
    assert first.held_out.tolist() == second.held_out.tolist()
    assert first.choices.inner != second.choices.inner


@pytest.mark.usefixtures("one_core")
def test_a_size_is_drawn_as_often_as_there_are_rows_for_it(setting: Setting) -> None:
    several = setting.evaluation.model_copy(update={"sizes": (30, 60), "draws": 2})
    jobs = [outcome.job for outcome in run_jobs(replace(setting, evaluation=several))[0]]
    assert [(job.size, job.draw) for job in jobs[::3]] == [(None, 0), (60, 0), (30, 0), (30, 1)]


def test_transfer_is_fine_tuning_or_what_is_surely_better_and_uses_the_source(outcome: Outcome) -> None:
    assert set(outcome.choices.inner) == {*WITH_SOURCE, Choice("scratch")}
    tuned = [choice for choice in WITH_SOURCE if choice.method == "fine-tune"]
    chosen = replace(outcome.choices.best, parts=())
    assert outcome.choices.inner[chosen] <= min(outcome.choices.inner[choice] for choice in tuned)
    np.testing.assert_array_equal(outcome.predictions[TRANSFER], outcome.predictions[outcome.choices.best.method])


def test_what_is_predicted_for_fine_tuning_is_the_fit_of_the_choice_on_the_training_rows(
    setting: Setting, outcome: Outcome, source: Fitted
) -> None:
    training = setting.target.take(np.flatnonzero(setting.folds() != 1))
    tuned = [choice for choice in WITH_SOURCE if choice.method == "fine-tune"]
    best = min(tuned, key=lambda choice: outcome.choices.inner[choice])
    model = fit_choice(best, source, training, setting.transfer, seed=1)
    predicted = model.predict(setting.target.take(outcome.held_out))
    np.testing.assert_array_equal(predicted, outcome.predictions["fine-tune"])


def test_transfer_pays_here(setting: Setting, outcome: Outcome) -> None:
    maes = {
        method: float(np.mean(np.abs(predicted - setting.target.values[outcome.held_out])))
        for method, predicted in outcome.predictions.items()
    }
    assert maes["fine-tune"] < maes["scratch"] < maes["mean"]
    assert maes["ridge"] < maes["mean"]


@pytest.mark.parametrize("fold", range(3))
def test_the_choice_is_made_on_rows_even_if_the_seed_is_the_number_of_the_fold(
    make_setting: Callable[..., Setting], target: Table, source: Fitted, plan: Transfer, fold: int
) -> None:
    setting = make_setting(target, seed=fold, folds=5)
    training = target.take(np.flatnonzero(setting.folds() != fold))
    assert np.bincount(grouped_folds(training.keys, 5, f"inner:{fold}"), minlength=5).min() > 0
    tried = validate([Choice("direct")], source, training, plan, fold)
    assert np.isfinite(tried.predictions[Choice("direct")]).all()


def test_of_few_rows_all_speak_in_the_choice(source: Fitted, target: Table, plan: Transfer) -> None:
    few = target.take(np.arange(60))
    missed = validate([Choice("direct")], source, few, plan, seed=0).missed()
    assert missed[Choice("direct")].mean() == pytest.approx(float(np.mean(np.abs(source.predict(few) - few.values))))


def test_of_many_rows_one_inner_fold_speaks(source: Fitted, target: Table, plan: Transfer) -> None:
    many = target.take(np.tile(np.arange(120), 5))
    many = replace(many, keys=np.array([f"KEY{row}" for row in range(600)], dtype=object))
    found = validate([Choice("direct")], source, many, plan, seed=3).missed()
    aside = many.take(np.flatnonzero(grouped_folds(many.keys, 5, "inner:3") == 0))
    assert len(aside) > 80
    missed = np.abs(source.predict(aside) - aside.values)
    assert sorted(found[Choice("direct")]) == pytest.approx(sorted(missed), rel=1e-4)


def test_no_choice_is_fitted_on_the_rows_that_judge_it(source: Fitted, target: Table, plan: Transfer) -> None:
    few, choice = target.take(np.arange(60)), Choice("fine-tune", 0)
    folds = grouped_folds(few.keys, 5, "inner:7")
    assert np.bincount(folds, minlength=5).min() > 0
    missed = np.empty(60)
    for fold in range(5):
        fitted = fit_choice(choice, source, few.take(np.flatnonzero(folds != fold)), plan, seed=7)
        missed[folds == fold] = np.abs((fitted.predict(few) - few.values)[folds == fold])
    found = validate([choice], source, few, plan, seed=7).missed()[choice]
    assert sorted(found) == pytest.approx(sorted(missed), rel=1e-4)


def test_a_stack_is_weighted_by_training_rows_and_predicts_the_weighted_mean(
    setting: Setting, outcome: Outcome, source: Fitted
) -> None:
    methods = {choice.method: weight for choice, weight in outcome.choices.stack.parts}
    assert methods.keys() <= {choice.method for choice in WITH_SOURCE}
    assert sum(methods.values()) == pytest.approx(1)
    mean = sum(weight * outcome.predictions[method] for method, weight in methods.items())
    np.testing.assert_allclose(outcome.predictions["stack"], mean, rtol=1e-12)
    training = setting.target.take(np.flatnonzero(setting.folds() != 1))
    model = fit_choice(outcome.choices.stack, source, training, setting.transfer, seed=1)
    held_out = setting.target.take(outcome.held_out)
    np.testing.assert_allclose(model.predict(held_out), outcome.predictions["stack"], rtol=1e-12)


def test_the_weights_that_judge_a_row_of_a_stack_are_those_of_rows_with_other_keys() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=100)
    good, bad = values + 0.1 * random.normal(size=100), random.normal(size=100)
    one, other = Choice("direct"), Choice("featurizer")
    keys = np.array([f"KEY{row // 4}" for row in range(100)], dtype=object)
    tried = Tried(values, keys, {one: good, other: bad})
    stack, missed = weigh(tried, [one, other], seed=0)
    assert dict(stack.parts)[one] > 0.9
    assert missed.mean() == pytest.approx(np.abs(good - values).mean(), rel=0.3)
    spoilt = values + np.where(keys == "KEY3", 100, 0)
    _, again = weigh(replace(tried, values=spoilt), [one, other], seed=0)
    same = grouped_folds(keys, 5, "stack:0") == grouped_folds(keys, 5, "stack:0")[12]
    expected = np.abs(spoilt - values) + np.where(spoilt == values, missed, 0)
    np.testing.assert_allclose(again[same & (keys != "KEY3")], expected[same & (keys != "KEY3")])


def test_repeats_have_folds_of_their_own(setting: Setting) -> None:
    several = replace(setting, evaluation=setting.evaluation.model_copy(update={"repeats": 2, "sizes": ()}))
    first, second = (run_job(several, Job(1, None, repeat)) for repeat in (0, 1))
    assert first.held_out.tolist() == np.flatnonzero(setting.folds() == 1).tolist()
    assert second.held_out.tolist() == np.flatnonzero(several.folds(1) == 1).tolist()
    assert second.held_out.tolist() != first.held_out.tolist()


def test_nothing_is_predicted_beyond_the_limits(setting: Setting) -> None:
    least, greatest = np.quantile(setting.target.values, [0.25, 0.75])
    outcome = run_job(replace(setting, limits=(least, greatest)), FULL)
    for method, predicted in outcome.predictions.items():
        assert predicted.min() >= least, method
        assert predicted.max() <= greatest, method


def test_a_method_is_better_if_its_gain_exceeds_a_standard_error() -> None:
    random = np.random.default_rng(0)
    errors = random.exponential(size=100)
    gains = random.normal(size=100)
    gains -= gains.mean()
    assert not _beats(errors, errors)
    assert not _beats(errors, errors + gains + 0.09)
    assert _beats(errors, errors + gains + 0.11)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_repeats_bit_for_bit(target: Table, name: str) -> None:
    training, held_out = target.take(np.arange(80)), target.take(np.arange(80, 120))
    one, again = (BASELINES[name](training, held_out) for _ in range(2))
    assert one.tobytes() == again.tobytes()
    assert one.shape == (40,)


def test_ridge_finds_what_is_linear_and_the_mean_is_the_mean(target: Table) -> None:
    linear = replace(target, values=target.elements @ [-40.0, 25.0] + 10 * target.features[:, 0])
    training, held_out = linear.take(np.arange(80)), linear.take(np.arange(80, 120))
    np.testing.assert_allclose(BASELINES["ridge"](training, held_out), held_out.values, atol=3)
    assert set(BASELINES["mean"](training, held_out)) == {training.values.mean()}


def test_choices_that_are_kept_are_not_made_anew_and_predict_the_same_bits(setting: Setting, outcome: Outcome) -> None:
    written = json.loads(json.dumps(outcome.choices.state()))
    again = run_job(replace(setting, kept={FULL: Choices.from_state(written)}), FULL)
    assert all(same_bits(again, outcome).values())
    assert again.choices == outcome.choices
    other = replace(outcome.choices, best=Choice("direct"))
    forced = run_job(replace(setting, kept={FULL: other}), FULL)
    np.testing.assert_array_equal(forced.predictions[TRANSFER], forced.predictions["direct"])
    unlike = run_job(replace(setting, kept={Job(0, None): other}), FULL)  # of another fold
    assert unlike.choices == outcome.choices


def features_in(store: Store, table: Table, name: str = "made-up") -> Features:
    """Put a table into the store as a Features object."""
    handle = Features(name)
    names = [f"count_{column}" for column in range(table.features.shape[1])]
    scale = Scale(tuple(names), (), np.zeros(len(names)), np.ones(len(names)))
    about = pd.DataFrame({"record": table.records, "key": table.keys, "value": table.values, "foreign": ""})
    about.loc[7, "foreign"] = "ddC"
    atoms = pd.DataFrame(table.elements, columns=["atoms_C", "atoms_H"])
    numbers = {"value": "kJ/mol", "atoms_C": "1", "atoms_H": "1"}
    files = {
        "matrix.parquet": to_parquet(pd.DataFrame(table.features, columns=names), dict.fromkeys(names, "1")),
        "rows.parquet": to_parquet(about.join(atoms), numbers),
        "state.json": json.dumps({"of": "molecules", "elements": ["C", "H"], **scale.state()}).encode(),
    }
    store.write(handle, files, 0)
    return handle


@pytest.mark.usefixtures("one_core")
def test_a_comparison_holds_metrics_and_every_row_as_it_was_predicted_while_held_out(
    store: Store, checkpoint: dict[str, bytes], target: Table, make_setting: Callable[..., Setting]
) -> None:
    setting = make_setting(target, folds=2)
    known = sorted({*target.keys[:40], "ANOTHER"})
    molecules = to_parquet(pd.DataFrame({"key": known}), {})
    handle = Checkpoint("made-up")
    store.write(handle, {**checkpoint, "keys.parquet": molecules}, 0)
    evaluation = Evaluation(folds=2, sizes=(30, 1000), draws=1, repeats=2, clusters=2, seed=0)
    files = compare(store, handle, features_in(store, target), setting.transfer, evaluation)

    assert set(files) == {
        "metrics.json",
        "choices.json",
        "predictions.parquet",
        "seconds_per_fit.json",
        "intervals.json",
        "domain.json",
        "domain.safetensors",
        "rival.json",
        "rival.safetensors",
    }
    metrics = json.loads(files["metrics.json"])
    assert metrics["unit"] == "kJ/mol"
    assert metrics["rows"] == {"all": 120, "not in source": 80}
    assert [point["size"] for point in metrics["learning_curve"]] == [30, 60]  # 1000 rows there are not
    assert set(metrics["extrapolation"]) == {"clusters"}
    assert sum(group["rows"] for group in metrics["extrapolation"]["clusters"]["groups"]) == 120
    assert sum(group["in source"] for group in metrics["extrapolation"]["clusters"]["groups"]) == 40
    assert set(json.loads(files["seconds_per_fit.json"])) == METHODS
    assert set(metrics["methods"]) == {*METHODS, TRANSFER}
    assert [len(errors["mae_per_fold"]) for errors in metrics["methods"].values()] == [4] * 10  # of two repeats

    table = from_parquet(files["predictions.parquet"])
    assert table["record"].tolist() == target.records.tolist()
    assert table["in_source"].tolist() == [True] * 40 + [False] * 80
    assert table["fold"].tolist() == setting.folds().tolist()
    assert {units(files["predictions.parquet"])[method] for method in METHODS} == {"kJ/mol"}
    assert {units(files["predictions.parquet"])[name] for name in ("low", "high", "spread")} == {"kJ/mol"}
    assert table["unseen"].tolist() == [""] * 7 + ["ddC"] + [""] * 112
    held = (table["low"] <= table["value"]) & (table["value"] <= table["high"])
    assert held.mean() == metrics["intervals"]["coverage"]
    assert (table["spread"] > 0).all()
    assert 0.5 < table["distance"].median() < 2
    outcome = run_job(setting, FULL)
    for method in METHODS:
        assert table[method].to_numpy()[outcome.held_out].tobytes() == outcome.predictions[method].tobytes()


@pytest.mark.usefixtures("one_core")
def test_a_comparison_keeps_the_choices_of_an_earlier_one_on_fewer_rows_if_it_was_of_the_same(
    store: Store,
    checkpoint: dict[str, bytes],
    target: Table,
    make_setting: Callable[..., Setting],
    caplog: pytest.LogCaptureFixture,
) -> None:
    setting = make_setting(target, sizes=())
    of = Checkpoint("made-up")
    store.write(of, {**checkpoint, "keys.parquet": to_parquet(pd.DataFrame({"key": ["ANOTHER"]}), {})}, 0)
    fewer, more = (features_in(store, target.take(np.arange(rows)), f"{rows}") for rows in (100, 120))
    first = compare(store, of, fewer, setting.transfer, setting.evaluation)
    earlier, choices = Comparison("0" * 16), json.loads(first["choices.json"])
    assert (choices["rows"], [job["fold"] for job in choices["jobs"]]) == (100, [0, 1, 2])
    store.write(earlier, first, 0)
    keeping = setting.evaluation.model_copy(update={"choices": earlier.fingerprint})

    kept = compare(store, of, more, setting.transfer, keeping)
    assert json.loads(kept["choices.json"]) == choices
    metrics = json.loads(kept["metrics.json"])
    assert metrics["kept"] == {"comparison": earlier.fingerprint, "rows": 100}
    assert metrics["best"] == json.loads(first["metrics.json"])["best"]
    assert metrics["rows"]["all"] == 120

    other = setting.transfer.model_copy(update={"seed": 1})
    anew = compare(store, of, fewer, other, keeping)
    assert "the choices of comparisons/0000000000000000 are of another source, plan or folds" in caplog.text
    assert json.loads(anew["choices.json"])["jobs"] != choices["jobs"]
    assert "kept" not in json.loads(anew["metrics.json"])
