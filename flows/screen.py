"""Screening: a published model looks at millions of candidates, and the best of them are kept."""

from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from tasks.handles import Screening
from tasks.passwords import hidden
from tasks.screen import MOST, By, Source, find_model, gather, screen_candidates

Count = Annotated[int, Field(ge=1, le=MOST)]


def _run_name() -> str:
    return f"{hidden(flow_run.parameters['model'])} {flow_run.parameters['by']}"


@flow(name="screen", flow_run_name=_run_name)
def screen(model: str, candidates: Source, count: Count = 100, by: By = "lowest") -> Screening:
    """Find the model, gather candidates, score them in shards, and keep the best.

    Args:
        model: a recipe, whose champion or latest bundle it is, or the path or URL of a bundle.
        candidates: {"table": "s3://…/candidates.parquet"}, {"optimade": "jarvis", "filter": "nelements=2"} or
            {"elements": ["Li", "Fe", "P", "O"], "atoms": 20}.
        count: how many of the best are kept.
        by: what is best: the lowest or highest value, surely-lowest or surely-highest by the ends of their intervals,
            the surest or the least-sure by how wide those are.
    """
    published = find_model(model)
    return screen_candidates(published, gather(candidates, published.takes), count, by)
