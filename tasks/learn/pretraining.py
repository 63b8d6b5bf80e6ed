"""Pretraining: the network learns the source, apart from what is additive in the elements."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tasks.featurize import Table
from tasks.learn.extensive import with_sums
from tasks.learn.fitted import Fitted
from tasks.learn.multitask import MultitaskNetwork, together
from tasks.learn.training import Epoch, Schedule, train
from tasks.progress import report
from tasks.recipe import Network, Pretraining
from tasks.tables import to_parquet


def pretrain_network(
    source: Table, network: Network, plan: Pretraining, unit: str, others: Sequence[Table] = ()
) -> dict[str, bytes]:
    """Return the files of a Checkpoint: weights, model, history, and keys and elements that it has learnt from.

    Args:
        source: the source's features; near-copies share a key.
        network: kind and sizes.
        plan: how to train.
        unit: of the property, for the progress shown.
        others: features of other tables, from which the trunk learns, too; of them the validation's keys are left out.
    """
    order = np.random.default_rng(plan.seed).permutation(len(source))
    first = math.ceil(plan.validation * len(source))
    validation, training = source.take(order[:first]), source.take(order[first:])
    model = Fitted.untrained(training, network, [plan.seed])

    def watch(epoch: Epoch) -> None:
        report("pretrain", epoch.number, plan.epochs, f"validation error {epoch.error * model.scale:.3g} {unit}")

    learnt = with_sums(training, plan.sums, plan.seed)
    rows = [(torch.from_numpy(learnt.features), model.remainder(learnt))]
    for other in others:
        fresh = other.take(np.flatnonzero(~np.isin(other.keys.astype(str), validation.keys.astype(str))))
        rows.append((torch.from_numpy(fresh.features), Fitted.untrained(fresh, network, []).remainder(fresh)))
    aside = [(torch.from_numpy(validation.features), model.remainder(validation))]
    epochs = train(
        MultitaskNetwork(model.networks[0], len(others)) if others else model.networks[0],
        together(rows) if others else rows[0],
        Schedule(plan.epochs, plan.batch, plan.rate, plan.decay, plan.seed, plan.patience, plan.average),
        together(aside) if others else aside[0],
        watch,
    )
    history = {
        "unit": unit,
        "training_rows": len(training),
        "validation_rows": len(validation),
        "auxiliary_rows": [len(targets) for _, targets in rows[1:]],
        "validation_mae": min(epoch.error for epoch in epochs) * model.scale,
        "epochs": [{**asdict(epoch), "error": epoch.error * model.scale} for epoch in epochs],
    }
    keys = pd.DataFrame({"key": np.unique(np.concatenate([table.keys.astype(str) for table in (source, *others)]))})
    return {
        **model.files(),
        "history.json": json.dumps(history, indent=1).encode(),
        "keys.parquet": to_parquet(keys, {}),
        "seen.json": json.dumps(_seen([source, *others]).tolist()).encode(),
    }


def _seen(tables: Sequence[Table]) -> npt.NDArray[np.bool_]:
    """Return which elements (e,) some rows have."""
    seen: npt.NDArray[np.bool_] = np.any([(table.elements > 0).any(axis=0) for table in tables], axis=0)
    return seen
