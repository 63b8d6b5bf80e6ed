"""matminer's elemental fractions, in an environment of its own: orders are lines of JSON, answered when done."""

import json
import sys

import numpy as np
from matminer.featurizers.composition import ElementFraction
from pymatgen.core import Composition


def main() -> None:
    """Featurize or save, as ordered on standard input."""
    featurizer = ElementFraction()
    featurizer.set_n_jobs(1)
    matrices = []
    for line in sys.stdin:
        order = json.loads(line)
        if "formulas" in order:
            compositions = [Composition(formula) for formula in order["formulas"]]
            matrices.append(np.array(featurizer.featurize_many(compositions, pbar=False)))
        else:
            np.save(order["save"], matrices.pop(0))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
