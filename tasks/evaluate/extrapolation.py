"""Extrapolation: whole groups of alike rows are left out in turn.

Folds drawn by lot leave neighbours of each held-out row among the training rows: they tell how well a model
interpolates. What is new in earnest is like nothing that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from tasks.evaluate.comparison import TRANSFER, Setting
from tasks.evaluate.folds import Rows, keep_apart
from tasks.evaluate.metrics import paired_difference
from tasks.featurize import Table
from tasks.learn import Choice, fit_choice
from tasks.parallel import run_chunks
from tasks.recipe import Evaluation

Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]

LEAST = 20  # rows of an element that is left out: the error of fewer is a matter of luck
STARTS = 10  # of k-means, of which the best is taken
METHODS = (TRANSFER, "scratch", "direct")
TYPICAL = 0.3  # by which an element's share of a cluster's rows exceeds its share of the others to be named


@dataclass(frozen=True)
class Group:
    """Rows that are left out together.

    Attributes:
        kind: `clusters` or `elements`.
        name: what they have in common.
        rows: of the target.
    """

    kind: str
    name: str
    rows: Rows


def groups_of(target: Table, of: str, elements: Sequence[str], plan: Evaluation) -> list[Group]:
    """Return what is left out in turn.

    Args:
        target: the target's features.
        of: what a row is: molecules, compositions or dyes.
        elements: names of the columns of `target.elements`.
        plan: how many clusters and elements at most.
    """
    # Dyes are left out by what they are like alone: most of their elements are in all of them, or in one ligand.
    by_element = [] if of == "dyes" else _elements(target, of, elements, plan.elements)
    return [*_clusters(target, elements, plan.clusters, plan.seed), *by_element]


def _clusters(target: Table, elements: Sequence[str], count: int, seed: int) -> list[Group]:
    """Return the clusters that k-means finds in the standardised features, the largest first.

    Leave-one-cluster-out: B. Meredig et al., Mol. Syst. Des. Eng. 3 (2018) 819, doi:10.1039/C8ME00012C. Keys are
    clustered, by the mean of their rows, so that none straddles clusters.
    """
    keys, key = np.unique(target.keys.astype(str), return_inverse=True)
    if min(count, len(keys)) < 2:
        return []
    features = target.features.astype(np.float64)
    means = pd.DataFrame(features).groupby(key).mean().to_numpy()
    with threadpool_limits(1):  # several threads would add up in an order of their own
        found = KMeans(min(count, len(keys)), n_init=STARTS, random_state=seed).fit_predict(means)[key]
    labels = sorted(set(found.tolist()), key=lambda label: (-np.sum(found == label), label))
    if len(labels) < 2:  # all rows are alike
        return []
    return [
        Group("clusters", f"{place}{_typical(target, elements, found == label)}", np.flatnonzero(found == label))
        for place, label in enumerate(labels, start=1)
    ]


def _typical(target: Table, elements: Sequence[str], inside: Mask) -> str:
    """Return the elements, three at most, that many more rows of a cluster have than others do: ` (F, O)`."""
    has = target.elements > 0
    more = has[inside].mean(axis=0) - has[~inside].mean(axis=0)
    typical = [elements[place] for place in np.argsort(-more, kind="stable")[:3] if more[place] >= TYPICAL]
    return f" ({', '.join(typical)})" if typical else ""


def _elements(target: Table, of: str, elements: Sequence[str], count: int) -> list[Group]:
    """Return the rows that have each of the most frequent elements, if they are enough and half of all at most."""
    rest = {"C", "H"} if of == "molecules" else set()  # nearly all molecules have both
    rows = {
        element: np.flatnonzero(has)
        for element, has in zip(elements, (target.elements > 0).T, strict=True)
        if element not in rest and LEAST <= has.sum() <= len(target) / 2
    }
    frequent = sorted(rows, key=lambda element: (-len(rows[element]), element))[:count]
    return [Group("elements", element, rows[element]) for element in frequent]


def extrapolate(setting: Setting, groups: Sequence[Group], chosen: Choice, in_source: Mask) -> dict[str, Any]:
    """Leave out each group in turn, on all processors; return the errors of transfer, scratch and direct.

    Direct, which no measurements of other groups can mislead, is what transfer has to beat here. Its method is the
    comparison's: the rows left out had a say in it, and in nothing else.

    Args:
        setting: of the comparison.
        groups: what is left out in turn, one at least.
        chosen: the method that is compared with scratch.
        in_source: (n,) whether the source has a row of the same key.

    Returns:
        For each kind of groups, `clusters` and `elements`, the mean absolute errors of each group and of all rows, and
        the difference of transfer and scratch with its interval; a row that is left out with several groups counts
        with each. The same, but for the groups, of the rows whose key the source does not have.
    """
    jobs = list(enumerate(groups))
    done = run_chunks(partial(_missed, setting, chosen), jobs, chunk=1, label="extrapolate")
    missed = pd.concat(list(done), ignore_index=True)
    return {
        kind: _errors(missed[missed["kind"] == kind], setting.target, in_source, setting.evaluation.seed)
        for kind in dict.fromkeys(group.kind for group in groups)
    }


def _missed(setting: Setting, chosen: Choice, jobs: Sequence[tuple[int, Group]]) -> pd.DataFrame:
    """Fit each method without a group; return kind, group, row and the absolute error of each method on each row."""
    source = setting.source()
    found = []
    for seed, group in jobs:
        rest = np.setdiff1d(np.arange(len(setting.target)), group.rows)
        training, held_out = setting.target.take(rest), setting.target.take(group.rows)
        keep_apart(training, held_out)
        table = pd.DataFrame({"kind": group.kind, "group": group.name, "row": group.rows})
        for method, choice in zip(METHODS, (chosen, Choice("scratch"), Choice("direct")), strict=True):
            with threadpool_limits(1):  # jobs share the processors
                model = fit_choice(choice, source, training, setting.transfer, seed)
            table[method] = np.abs(model.predict(held_out) - held_out.values)
        found.append(table)
    return pd.concat(found)


def _errors(missed: pd.DataFrame, target: Table, in_source: Mask, seed: int) -> dict[str, Any]:
    """Return the errors of one kind of groups."""
    known = in_source[missed["row"]]
    groups = [
        {"name": name, "rows": len(part), "in source": int(in_source[part["row"]].sum()), **_means(part)}
        for name, part in missed.groupby("group", sort=False)
    ]
    return {
        "groups": groups,
        **_compared(missed, target, seed),
        "not in source": None if known.all() else _compared(missed[~known], target, seed),
    }


def _compared(missed: pd.DataFrame, target: Table, seed: int) -> dict[str, Any]:
    """Return number of rows, errors of each method, and the difference of transfer and scratch."""
    keys = target.keys[missed["row"]]
    difference = paired_difference(missed[TRANSFER].to_numpy(), missed["scratch"].to_numpy(), keys, seed)
    return {"rows": len(missed), **_means(missed), "difference": difference}


def _means(missed: pd.DataFrame) -> dict[str, float]:
    return {method: float(missed[method].mean()) for method in METHODS}
