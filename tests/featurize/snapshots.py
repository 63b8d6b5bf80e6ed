"""Curated tables of molecules, put into the store for tests."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tasks.handles import Snapshot
from tasks.store import Store
from tasks.tables import to_parquet


def snapshot(store: Store, molecules: Sequence[str], name: str) -> Snapshot:
    """Put a curated table into the store; the value of a row is its place."""
    parsed = [Chem.MolFromSmiles(smiles) for smiles in molecules]
    rows = pd.DataFrame(
        {
            "record": [f"{name}:{place}" for place in range(len(molecules))],
            "key": [smiles.upper() for smiles in molecules],
            "smiles": molecules,
            "formula": [CalcMolFormula(molecule) for molecule in parsed],
            "value": np.arange(len(molecules), dtype=float),
        }
    )
    elements = sorted({atom.GetSymbol() for molecule in parsed for atom in Chem.AddHs(molecule).GetAtoms()})
    handle = Snapshot(name)
    files = {
        "rows.parquet": to_parquet(rows, {"value": "kJ/mol"}),
        "report.json": json.dumps({"of": "molecules", "elements": elements}).encode(),
    }
    store.write(handle, files, 0)
    return handle
