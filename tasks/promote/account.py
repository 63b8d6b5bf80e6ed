"""A decision in words: for the dashboard and the terminal."""

from collections.abc import Mapping
from typing import Any

from tasks.promote.gate import Decision
from tasks.publish.grids import Rows, markdown
from tasks.publish.words import interval, number


def headline(decision: Decision) -> str:
    """Say in a sentence whether the bundle took over, and why."""
    return f"{decision.challenger['path']} is {'now' if decision.promote else 'not'} champion. {decision.verdict}"


def account(decision: Decision) -> str:
    """Return all that was decided on as Markdown."""
    parts = ["## Validation", markdown(_checks(decision))]
    if decision.comparison:
        said = f"{decision.comparison['rows in both']:,} rows are in both snapshots"
        said += f", {decision.comparison['with another value']:,} of them with another value, which are left out."
        parts += ["## Challenger and champion", said, markdown(_errors(decision.comparison, decision.challenger))]
    sides = {"challenger": decision.challenger, "champion": decision.champion}
    parts += ["## What they learnt from", markdown([_side(name, facts) for name, facts in sides.items() if facts])]
    return "\n\n".join([*parts, ""])


def _checks(decision: Decision) -> Rows:
    return [{"it is": check.name, "": "yes" if check.passed else "NO", "said": check.said} for check in decision.checks]


def _errors(comparison: Mapping[str, Any], challenger: Mapping[str, Any]) -> Rows:
    """Return a row for all that both have, and one for what neither source has."""
    unit = challenger["unit"]
    parts = {"all": comparison, "not in the source": comparison["not in source"]}
    return [
        {
            "rows of both": name,
            "number": f"{part['rows']:,}",
            f"challenger ({unit})": number(part["challenger"]),
            f"champion ({unit})": number(part["champion"]),
            "difference": interval(part["difference"]),
            "challenger errs by less in": f"{part['difference']['below']:.1%}".replace("%", " %"),
        }
        for name, part in parts.items()
        if part
    ]


def _side(name: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the row of one bundle."""
    return {
        "": name,
        "bundle": f"`{facts['path']}`",
        "made": facts["made"],
        "measurements": f"{facts['measured']:,}",
        "computed rows": f"{facts['computed']:,}",
        f"its own MAE ({facts['unit']})": number(facts["mae"]),
    }
