"""Pretraining: the network learns the source, apart from what is additive in the elements."""

import json
import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch

from tasks.featurize import Table
from tasks.learn.extensive import with_sums
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.networks import build
from tasks.learn.training import Epoch, Schedule, train
from tasks.progress import report
from tasks.recipe import Network, Pretraining
from tasks.tables import to_parquet


def pretrain_network(source: Table, network: Network, plan: Pretraining, unit: str) -> dict[str, bytes]:
    """Return the files of a Checkpoint: weights, model, history, and keys and elements that it has learnt from.

    Args:
        source: the source's features; near-copies share a key.
        network: kind and sizes.
        plan: how to train.
        unit: of the property, for the progress shown.
    """
    order = np.random.default_rng(plan.seed).permutation(len(source))
    aside = math.ceil(plan.validation * len(source))
    validation, training = source.take(order[:aside]), source.take(order[aside:])
    additive = fit_additive(training.elements, training.values)
    scale = float(np.std(training.values - training.elements @ additive))
    model = Fitted([build(network, source.features.shape[1], plan.seed)], additive, scale, network)

    def watch(epoch: Epoch) -> None:
        report("pretrain", epoch.number, plan.epochs, f"validation error {epoch.error * scale:.3g} {unit}")

    learnt = with_sums(training, plan.sums, plan.seed)
    epochs = train(
        model.networks[0],
        (torch.from_numpy(learnt.features), model.remainder(learnt)),
        Schedule(plan.epochs, plan.batch, plan.rate, plan.decay, plan.seed, plan.patience),
        (torch.from_numpy(validation.features), model.remainder(validation)),
        watch,
    )
    history = {
        "unit": unit,
        "training_rows": len(training),
        "validation_rows": len(validation),
        "validation_mae": min(epoch.error for epoch in epochs) * scale,
        "epochs": [{**asdict(epoch), "error": epoch.error * scale} for epoch in epochs],
    }
    keys = pd.DataFrame({"key": np.unique(source.keys.astype(str))})
    return {
        **model.files(),
        "history.json": json.dumps(history, indent=1).encode(),
        "keys.parquet": to_parquet(keys, {}),
        "seen.json": json.dumps((source.elements > 0).any(axis=0).tolist()).encode(),  # which of the elements
    }
