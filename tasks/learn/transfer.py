"""The methods that make a model of the target: scratch, direct, featurizer, difference, fine-tune and stack.

Each takes the same table of training rows and returns a fitted model, so that they can be compared on equal terms.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from tasks.featurize import Table
from tasks.learn.fitted import Fitted, Vector, fit_additive
from tasks.learn.process import Process
from tasks.learn.stacked import Stacked
from tasks.learn.training import Schedule, predict, represent, train
from tasks.parallel import run_chunks
from tasks.recipe import Transfer, Variant

Limits = tuple[float, float] | None

PENALTIES = np.logspace(-3, 4, 15)
FALL = 2.6  # of the learning rate from layer to layer: J. Howard, S. Ruder, arXiv:1801.06146
PULL = 1.0  # times the learning rate is the way back to the start that a weight goes in each step
VARIANTS: dict[str, dict[str, Any]] = {
    "gradual unfreezing": {"gradual": True},
    "discriminative rates": {"fall": FALL},
    "L2-SP": {"pull": PULL},
}


@dataclass(frozen=True)
class Choice:
    """A method and what it is used with.

    Attributes:
        method: its name.
        frozen: layers frozen, for fine-tune; 0 for the others.
        parts: of a stack, each with its weight; none for the others.
    """

    method: Literal["scratch", "direct", "featurizer", "difference", "fine-tune", "stack"] | Variant
    frozen: int = 0
    parts: tuple[tuple["Choice", float], ...] = ()

    @classmethod
    def stack(cls, weights: Mapping["Choice", float]) -> "Choice":
        """Return the stack of those choices whose weight is not zero."""
        return cls("stack", parts=tuple((choice, weight) for choice, weight in weights.items() if weight))


def fit_choice(choice: Choice, source: Fitted, training: Table, plan: Transfer, seed: int) -> Fitted | Stacked:
    """Fit the chosen method.

    Args:
        choice: the method and the number of frozen layers.
        source: the pretrained model.
        training: rows of the target.
        plan: how to train.
        seed: tells fits of one plan apart.
    """
    if choice.parts:
        parts = [_fit(part, source, training, plan, seed) for part, _ in choice.parts]
        return Stacked(parts, [weight for _, weight in choice.parts])
    return _fit(choice, source, training, plan, seed)


def _fit(choice: Choice, source: Fitted, training: Table, plan: Transfer, seed: int) -> Fitted:
    """Fit one method, which is no stack."""
    match choice.method:
        case "scratch":
            return scratch(source, training, plan, seed)
        case "direct":
            return direct(source)
        case "featurizer":
            return featurizer(source, training)
        case "difference":
            return difference(source, training, seed)
        case "fine-tune":
            return fine_tune(source, training, plan, choice.frozen, seed)
        case "stack":
            raise ValueError("a stack has parts")
        case variant:
            return fine_tune(source, training, plan, 0, seed, **VARIANTS[variant])


def fit_files(
    choice: Choice, pretrained: Mapping[str, bytes], training: Table, plan: Transfer, limits: Limits
) -> dict[str, bytes]:
    """Return the files of the chosen method, fitted on all processors: the parts of a stack side by side.

    Args:
        choice: the method and the number of frozen layers.
        pretrained: the files of the pretrained model.
        training: rows of the target.
        plan: how to train.
        limits: least and greatest value that there can be, if there are such.
    """
    parts = [part for part, _ in choice.parts] or [choice]
    fitting = partial(_fit_parts, pretrained, training, plan, limits)
    done = [files for chunk in run_chunks(fitting, parts, chunk=1, label="fit") for files in chunk]
    if not choice.parts:
        return done[0]
    models = [Fitted.from_files(files["weights.safetensors"], files["model.json"]) for files in done]
    return Stacked(models, [weight for _, weight in choice.parts]).files()


def _fit_parts(
    pretrained: Mapping[str, bytes], training: Table, plan: Transfer, limits: Limits, parts: Sequence[Choice]
) -> list[dict[str, bytes]]:
    source = replace(Fitted.from_files(pretrained["weights.safetensors"], pretrained["model.json"]), limits=limits)
    with threadpool_limits(1):  # as in the comparison
        return [_fit(part, source, training, plan, seed=0).files() for part in parts]


def scratch(source: Fitted, training: Table, plan: Transfer, seed: int) -> Fitted:
    """Train new networks on the target alone; of the source only the kind of network is used."""
    seeds = [1000 * plan.seed + 100 * seed + member for member in range(plan.members)]
    model = replace(Fitted.untrained(training, source.spec, seeds), limits=source.limits)
    return _train(model, training, plan, seed, (plan.scratch_epochs, plan.scratch_rate))


def direct(source: Fitted) -> Fitted:
    """Take the source's model as it is."""
    return source


def featurizer(source: Fitted, training: Table) -> Fitted:
    """Freeze the whole trunk and put a ridge regression on what it represents.

    The penalty is chosen by leave-one-out inside the training rows. E.g. J. Yosinski et al., arXiv:1411.1792.
    """
    network = deepcopy(source.networks[0])
    network.freeze(len(network.trunk))
    additive = fit_additive(training.elements, training.values, source.additive)
    model = replace(source, networks=[network], additive=additive)
    represented = represent(network, torch.from_numpy(training.features)).numpy()
    ridge = RidgeCV(PENALTIES).fit(represented, model.remainder(training).numpy())
    network.regress(torch.from_numpy(ridge.coef_.astype(np.float32)), float(ridge.intercept_))
    return model


def difference(source: Fitted, training: Table, seed: int) -> Fitted:
    """Leave the source's model as it is and learn what it misses, by a Gaussian process on what its trunk represents.

    Difference learning: R. Ramakrishnan et al., J. Chem. Theory Comput. 11 (2015) 2087, doi:10.1021/acs.jctc.5b00099.

    Args:
        source: the pretrained model.
        training: rows of the target.
        seed: of the rows from which the parameters of the process are found.
    """
    network = deepcopy(source.networks[0])
    network.freeze(len(network.trunk))
    model = replace(source, networks=[network], additive=_corrected(source, training))
    features = torch.from_numpy(training.features)
    missed = model.remainder(training) - predict(network, features)
    return replace(model, process=Process.fit(represent(network, features), features, missed, seed))


def fine_tune(source: Fitted, training: Table, plan: Transfer, frozen: int, seed: int, **way: Any) -> Fitted:
    """Freeze the first layers of the source's network and train the others on the target.

    The additive part first takes up what the source's model misses per element: the constant errors of the theory. As
    in D. Jha et al., Nat. Commun. 10 (2019) 5316, doi:10.1038/s41467-019-13297-w.

    Args:
        source: the pretrained model.
        training: rows of the target.
        plan: how to train.
        frozen: number of layers of the trunk to freeze, from the first.
        seed: of the order of the rows.
        way: fields of the training's `Schedule` that make it another kind of fine-tuning, see VARIANTS.
    """
    members = [deepcopy(source.networks[0]) for _ in range(plan.members)]
    for network in members:
        network.freeze(frozen)
    model = replace(source, networks=members, additive=_corrected(source, training))
    return _train(model, training, plan, seed, (plan.epochs, plan.rate), **way)


def _corrected(source: Fitted, training: Table) -> Vector:
    """Return the additive part (e,) of the source's model, with what it misses per atom of each element."""
    missed = training.values - source.predict(training)
    corrected: Vector = source.additive + fit_additive(training.elements, missed, np.zeros_like(source.additive))
    return corrected


def _train(model: Fitted, training: Table, plan: Transfer, seed: int, pace: tuple[int, float], **way: Any) -> Fitted:
    """Train each member in an order of the rows of its own; the pace is epochs and peak learning rate."""
    rows = torch.from_numpy(training.features), model.remainder(training)
    for member, network in enumerate(model.networks):
        order = 1000 * plan.seed + 100 * seed + member
        train(network, rows, Schedule(pace[0], plan.batch, pace[1], plan.decay, order, **way))
    return model
