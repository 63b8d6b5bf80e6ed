"""What runs are called on the dashboard."""

from pathlib import Path

from prefect.runtime import flow_run


def run_name() -> str:
    """Return the name of the run that is starting: its recipe, or what it was called when it was asked for.

    The latter says more, if it begins with the recipe; otherwise the server has made it up.
    """
    recipe = Path(str(flow_run.parameters["recipe"])).stem  # one's own recipe is the path of a file
    given: str = flow_run.name or ""
    return given if given.startswith(recipe) else recipe
