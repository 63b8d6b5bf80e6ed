"""The page of a store: its recipes, their champions, how they came about, and links to reports and cards.

It is one file at the root of the store that loads nothing; its links are relative to it. So it works wherever the
store is served as files: S3's static sites, a folder, `matlift up`.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from tasks.promote.champion import ROLLED_BACK
from tasks.publish.case import percent
from tasks.publish.page import Html, bullets, element, joined, link, paragraph, whole
from tasks.publish.words import called, number
from tasks.site.records import Published, Record
from tasks.site.timeline import STYLE as OF_TIMELINE
from tasks.site.timeline import minute, timeline

SHOWN = 20  # bundles of a recipe in its table and with links on their marks, the newest ones
FILES = {
    "report.html": "report",
    "README.md": "model card",
    "metrics.json": "metrics",
    "recipe.yaml": "recipe",
    "predictions.parquet": "held-out predictions",
}

STYLE = f"""
.recipes {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: .9rem;
  margin: 1.5rem 0 0; }}
.recipes a {{ display: flex; flex-direction: column; padding: .9rem 1rem; border: 1px solid var(--line);
  border-radius: .5rem; color: var(--soft); font-size: .88rem; line-height: 1.45; text-decoration: none; }}
.recipes a:hover {{ border-color: var(--link); }}
.recipes strong {{ color: var(--link); font-size: 1rem; line-height: 1.35; margin-bottom: auto; }}
.recipes b, .numbers b {{ color: var(--ink); font-size: 1.45rem; font-weight: 600; }}
.recipes b {{ margin-top: .5rem; }}
.recipes time {{ white-space: nowrap; }}
.numbers b {{ font-size: 1.3rem; }}
.recipes b small, .numbers b small {{ font-size: .85rem; font-weight: 400; }}
.bundles {{ width: 100%; }}
.bundles code {{ display: block; color: var(--soft); }}
.bundles td {{ white-space: nowrap; }}
.bundles .method, .bundles .outcome {{ white-space: normal; }}
.bundles .outcome {{ min-width: 16rem; }}
.bundles .outcome small {{ display: block; line-height: 1.4; }}
.bundles .marked td {{ font-weight: 400; }}
.bundles a {{ display: block; }}
.problems {{ margin-top: 1.6rem; padding: .1rem 1rem; border-left: 3px solid #c8761a; background: var(--tint);
  overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{
  body {{ padding-top: 1.2rem; }}
  .numbers {{ grid-template-columns: 1fr 1fr; }}
  .bundles thead {{ display: none; }}
  .bundles, .bundles tbody {{ display: block; }}
  .bundles tr {{ display: grid; grid-template-columns: 1fr 1fr; gap: .1rem .8rem; padding: .7rem .5rem;
    border-bottom: 1px solid var(--line); }}
  .bundles .marked {{ background: var(--tint); }}
  .bundles tr td {{ padding: 0; border: 0; background: none; text-align: left; white-space: normal; }}
  .bundles td.n::before {{ content: attr(data-is) " "; }}
  .bundles td.n::after {{ content: " " attr(data-of); }}
  .bundles .outcome {{ grid-column: 1 / -1; }}
  .bundles .look {{ grid-area: 3 / 2; }}
  .bundles a {{ display: inline; margin-right: .8rem; }}
}}
{OF_TIMELINE}"""


def write_page(records: Sequence[Record]) -> str:
    """Return the page."""
    title = "Published models"
    head = element("h1", title)
    if not records:
        said = paragraph("Nothing has been published yet: ", element("code", "matlift run RECIPE"), " does.")
        return whole(title, head, said)
    overview = element("div", *map(_card, records), class_="recipes")
    sections = [element("section", *_section(record), id=record.name) for record in records]
    parts = [head, paragraph(_summary(records), class_="soft"), *([overview] if len(records) > 1 else []), *sections]
    return whole(title, *parts, style=STYLE)


def _summary(records: Sequence[Record]) -> str:
    """Return how much there is, and of when."""
    bundles = sum(len(record.bundles) for record in records)
    changed = max(record.changed for record in records)
    asof = f", as of {minute(changed)} UTC" if changed else ""
    said = f"{_count(len(records), 'recipe')}, {_count(bundles, 'bundle')}{asof}."
    return f"{said} Errors are mean absolute errors on measurements that were held out of training."


def _card(record: Record) -> Html:
    """Return the recipe in short, as a link to its section."""
    used, address = record.in_use, f"#{quote(record.name)}"
    if used is None or record.champion is None:
        return link(address, element("strong", record.title), element("b", "none"), "no model is in use yet")
    facts = used.facts
    day = element("time", minute(record.champion["since"])[:10])
    learnt = element("span", f"{facts['measured']:,} measurements, since ", day)
    compared = element("span", _against_scratch(used))
    return link(address, element("strong", record.title), _number(used.error, facts["unit"]), compared, learnt)


def _section(record: Record) -> Iterator[Html]:
    """Return what is told of a recipe."""
    yield element("h2", record.title)
    yield paragraph("Recipe ", element("code", record.name), f": {record.symbol} in {record.unit}", class_="soft")
    yield from _champion(record)
    yield timeline(record, SHOWN)
    if record.bundles:
        yield element("h3", "What was published")
        yield _table(record)
    if record.problems:
        told = bullets(record.problems)
        yield element("div", paragraph(element("strong", "What cannot be read")), told, class_="problems")


def _champion(record: Record) -> Iterator[Html]:
    """Return the bundle in use: its numbers, why it is in use, and its files."""
    used, pointer = record.in_use, record.champion
    if pointer is None:
        yield paragraph("No model is in use yet.")
        return
    since, bundle = f"In use since {minute(pointer['since'])} UTC: ", element("code", pointer["bundle"])
    if used is None:
        yield paragraph(since, "the bundle ", bundle, f". {pointer['why']} The store does not have it any more.")
        return
    yield element("div", *(element("div", value, said) for value, said in _numbers(used)), class_="numbers")
    yield paragraph(since, called(used.facts["method"]), f". {pointer['why']}")
    links = [link(address, name) for file, name in FILES.items() if (address := used.address(file))]
    yield element("p", Html(" · ".join(links))) if links else paragraph("The store does not have its files any more.")


def _numbers(used: Published) -> Iterator[tuple[Html, str]]:
    """Return the numbers to remember, each with what it is."""
    facts = used.facts
    yield _number(used.error, facts["unit"]), "mean absolute error"
    if facts["mae not in source"] is not None:
        yield _number(facts["mae not in source"], facts["unit"]), "on what the source does not have"
    yield _number(facts["scratch"], facts["unit"]), "training from scratch"
    yield element("b", f"{facts['measured']:,}"), "measurements learnt from"
    if facts["coverage"] is not None:
        yield element("b", percent(facts["coverage"])), f"inside of their {percent(facts['level'], 0)} intervals"


def _number(value: float, unit: str) -> Html:
    return element("b", number(value), " ", element("small", unit))


def _against_scratch(one: Published) -> str:
    """Return how much less or more it errs than training from scratch."""
    scratch = one.facts["scratch"]
    share = 1 - one.error / scratch if scratch else 0.0
    if abs(share) < 0.005:
        return "as from scratch"
    return f"{percent(abs(share), 0)} {'less' if share > 0 else 'more'} than from scratch"


def _table(record: Record) -> Html:
    """Return the newest bundles, and how many others there are."""
    columns = {"made (UTC)": "", f"error ({record.unit})": "n", "from scratch": "n", "measurements": "n"}
    columns |= {"method": "", "what became of it": "", "files": ""}
    head = element("tr", *(element("th", said, **_class(kind)) for said, kind in columns.items()))
    rows = [_row(record, one) for one in record.bundles[:SHOWN]]
    table = element("table", element("thead", head), element("tbody", Html("\n".join(rows))), class_="bundles")
    more = len(record.bundles) - len(rows)
    folder = element("code", f"bundles/{record.name}/")
    others = [paragraph(f"And {_count(more, 'older bundle')}, in ", folder, class_="soft")] if more else []
    return joined(element("div", table, class_="wide"), *others)


def _row(record: Record, one: Published) -> Html:
    """Return the row of a bundle."""
    facts, unit = one.facts, one.facts["unit"]
    links = {name: one.address(file) for name, file in (("report", "report.html"), ("card", "README.md"))}
    looks: list[str] = [link(address, name) for name, address in links.items() if address]
    verdict = one.decision["verdict"] if one.decision else "It is older than the gate."
    other = "" if unit == record.unit else f" {unit}"
    numbers = {"error": f"{number(one.error)}{other}", "from scratch": f"{number(facts['scratch'])}{other}"}
    return element(
        "tr",
        element("td", minute(one.made), " ", element("code", one.bundle.fingerprint[:8])),
        *(element("td", said, class_="n", **{"data-is": name, "data-of": unit}) for name, said in numbers.items()),
        element("td", f"{facts['measured']:,}", class_="n", **{"data-of": "measurements"}),
        element("td", called(facts["method"]), class_="method"),
        element("td", element("strong", _state(record, one)), element("small", verdict), class_="outcome"),
        element("td", *(looks or ["pruned"]), class_="look"),
        **_class("marked" if one is record.in_use else ""),
    )


def _state(record: Record, one: Published) -> str:
    """Return what became of a bundle."""
    if one is record.in_use:
        return "In use"
    history = record.champion["history"] if record.champion else []
    last = [entry for entry in history if entry["bundle"] == one.bundle.fingerprint][-1:]
    if not last:
        return "Not promoted"
    return f"{'Rolled back' if last[0]['ended'] == ROLLED_BACK else 'Replaced'} {minute(last[0]['until'])}"


def _class(name: str) -> dict[str, str]:
    return {"class_": name} if name else {}


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
