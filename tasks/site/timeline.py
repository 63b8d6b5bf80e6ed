"""The picture of a recipe's history: the error of every bundle published, and of the one in use at each time.

Lines and marks are SVG that is stretched to the width of the page, in per cent of the frame; what is read stands on it
as text, so that it is as large on a telephone as on a desk. A mark takes a dozen bytes, for there may be many. Nothing
is told by colour alone: what was in use is a disc, what was not a ring, and training from scratch a dash.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.publish.page import Html, element
from tasks.publish.words import number, signed
from tasks.site.records import Published, Record

EDGE = 3.0  # per cent of the frame between its ends and the first and the last mark
ERRORS = 4  # steps on the axis of errors, at most
DATES = 4  # the same on the axis of time
HIGH = 2.0  # times the largest error of what was in use and of scratch then: what errs by more is at the upper edge
LEAST = timedelta(hours=1)  # that the axis of time spans
STEPS = [timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)]
STEPS += [timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 182, 364)]
START = datetime(1970, 1, 1, tzinfo=UTC)  # from which they are counted

STYLE = """
.plot, .key { --used: #0b5c94; --other: #b04a00; }
.plot { position: relative; height: 15rem; margin: 2.9rem 4.4rem 2.4rem 3.4rem; font-size: .8rem; line-height: 1;
  color: var(--soft); font-variant-numeric: tabular-nums; }
.plot svg { position: absolute; width: 100%; height: 100%; overflow: visible; }
.plot path, .key path { fill: none; stroke-linecap: round; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .scratch, .key .scratch { stroke: var(--soft); stroke-width: 2; }
.plot .used, .key .used { stroke: var(--used); stroke-width: 2; }
.plot .discs, .key .discs { stroke: var(--used); stroke-width: 11; }
.plot .rings, .key .rings { stroke: var(--other); stroke-width: 11; }
.plot .holes, .key .holes { stroke: var(--paper); stroke-width: 6.5; }
.plot span, .plot b, .plot a { position: absolute; white-space: nowrap; }
.plot .of { left: -3.4rem; top: -1.9rem; }
.plot .errors span { right: calc(100% + .6rem); transform: translateY(-50%); }
.plot .dates span { top: calc(100% + .8rem); transform: translateX(-50%); }
.plot b { left: calc(100% + .5rem); transform: translateY(-50%); color: var(--used); font-size: .95rem; }
.plot a { width: 22px; height: 22px; margin: -11px; border-radius: 50%; }
.plot a:hover { border: 2px solid var(--ink); }
.keys { max-width: none; }
.keys span { display: inline-block; margin-right: 1.1rem; }
.key { width: 24px; height: 12px; margin-right: .4rem; vertical-align: -1px; }
@media (prefers-color-scheme: dark) { .plot, .key { --used: #6cb8f0; --other: #f2a65a; } }
@media (max-width: 40rem) {
  .plot { height: 12rem; margin-right: 4rem; }
  .plot .dates span:nth-child(even) { display: none; }
}
""".strip()


class Reign(NamedTuple):
    """A champion's time in use.

    Attributes:
        since: when it began.
        one: the bundle.
    """

    since: datetime
    one: Published


class Frame(NamedTuple):
    """What the axes show.

    Attributes:
        first: time.
        last: time.
        ticks: errors at which a line is drawn, the lowest and the highest at the ends.
    """

    first: datetime
    last: datetime
    ticks: Sequence[float]

    def x(self, time: datetime) -> float:
        """Return where a time is, in per cent of the width."""
        return EDGE + (100 - 2 * EDGE) * ((time - self.first) / (self.last - self.first))

    def y(self, error: float) -> float:
        """Return where an error is, in per cent of the height, from above; above the frame is at its edge."""
        low, high = self.ticks[0], self.ticks[-1]
        return 100 * (high - min(error, high)) / (high - low)


def timeline(record: Record, linked: int) -> Html:
    """Return the drawing, with what its marks mean, of the bundles whose unit is the recipe's; empty if there are none.

    Args:
        record: of the recipe.
        linked: how many bundles, the newest ones, have a mark that leads to their report.
    """
    shown = [one for one in record.bundles if one.facts["unit"] == record.unit]
    if not shown:
        return Html()
    reigns = _reigns(record, shown)
    crowned = {reign.one.bundle for reign in reigns}
    used, others = ([one for one in shown if (one.bundle in crowned) is was] for was in (True, False))
    frame = _frame(shown, reigns)
    paths = {
        "grid": "".join(f"M0 {frame.y(tick):.2f}h100" for tick in frame.ticks),
        "scratch": _marks(frame, shown, "scratch", 1.4),
        "used": _steps(frame, reigns),
        "rings": _marks(frame, others, "mae"),
        "holes": _marks(frame, others, "mae"),
        "discs": _marks(frame, used, "mae"),
    }
    says = f"Mean absolute error of the bundles of {record.name} over time"
    drawing = _svg(paths, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", **{"aria-label": says})
    texts = [*_texts(frame, record.unit, reigns), *_links(frame, shown[:linked])]
    plot = element("div", drawing, element("div", *texts, **{"aria-hidden": "true"}), class_="plot")
    over = any(one.error > frame.ticks[-1] for one in shown)
    keys = element("figcaption", *_keys(used=bool(used), others=bool(others), over=over), class_="keys")
    return element("figure", plot, keys)


def _reigns(record: Record, shown: Sequence[Published]) -> list[Reign]:
    """Return the times in use, the first one first, of all champions that are shown."""
    known = {one.bundle.fingerprint: one for one in shown}
    entries = [*record.champion["history"], record.champion] if record.champion else []
    return [Reign(_time(entry["since"]), known[entry["bundle"]]) for entry in entries if entry["bundle"] in known]


def _frame(shown: Sequence[Published], reigns: Sequence[Reign]) -> Frame:
    """Return the axes for these bundles."""
    times = [_time(one.made) for one in shown] + [reign.since for reign in reigns]
    errors = [one.facts[name] for one in shown for name in ("mae", "scratch")]
    known = [reign.one.facts[name] for reign in reigns for name in ("mae", "scratch")]
    high = min(max(errors), HIGH * max(known)) if known else max(errors)
    low = min(errors)
    rough = (high - low or abs(high) or 1) / ERRORS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(digit for digit in (1, 2, 5, 10) if digit * unit >= rough * (1 - 1e-9))
    first = math.floor(low / step)
    ticks = [step * place for place in range(first, max(math.ceil(high / step), first + 1) + 1)]
    return Frame(min(*times, max(times) - LEAST), max(times), ticks)  # which ends before the future begins


def _marks(frame: Frame, those: Iterable[Published], what: str, width: float = 0) -> str:
    """Return the path of a mark for each bundle, so wide in per cent of the frame; without a width it is round."""
    left = [frame.x(_time(one.made)) - width / 2 for one in those]
    return "".join(f"M{x:.2f} {frame.y(one.facts[what]):.2f}h{width:g}" for x, one in zip(left, those, strict=True))


def _steps(frame: Frame, reigns: Sequence[Reign]) -> str:
    """Return the path along the error of what was in use at each time, to the right edge."""
    steps = [(f"{frame.x(reign.since):.2f}", f"{frame.y(reign.one.error):.2f}") for reign in reigns]
    return "".join(f"H{x}V{y}" if place else f"M{x} {y}" for place, (x, y) in enumerate(steps)) + "H100" * bool(steps)


def _texts(frame: Frame, unit: str, reigns: Sequence[Reign]) -> Iterator[Html]:
    """Return what is read beside the axes, and the error of what is in use."""
    yield element("span", f"mean absolute error ({unit})", class_="of")
    decimals = max(0, -math.floor(math.log10(frame.ticks[1] - frame.ticks[0]) + 1e-9))
    errors = [_at("span", signed(tick, decimals), top=frame.y(tick)) for tick in frame.ticks]
    yield element("div", *errors, class_="errors")
    yield element("div", *(_at("span", said, left=frame.x(time)) for time, said in _dates(frame)), class_="dates")
    if reigns:
        yield _at("b", number(reigns[-1].one.error), top=frame.y(reigns[-1].one.error))


def _dates(frame: Frame) -> Iterator[tuple[datetime, str]]:
    """Return round times on the axis, with what is said of them: the day where it is another one than before."""
    span = frame.last - frame.first
    step = next((step for step in STEPS if span <= DATES * step), span / DATES)
    time, day = START + step * math.ceil((frame.first - START) / step), ""
    while time <= frame.last:
        today = f"{time:%Y-%m-%d}"
        yield time, today if step >= timedelta(days=1) else f"{time:%H:%M}" if today == day else f"{time:%b %d, %H:%M}"
        time, day = time + step, today


def _links(frame: Frame, those: Sequence[Published]) -> Iterator[Html]:
    """Return links to the reports, on the marks, that tell of the bundle; the table has them for the keyboard."""
    for one in those:
        if address := one.address("report.html"):
            said = f"{one.bundle.fingerprint[:8]}, {minute(one.made)} UTC: {number(one.error)} {one.facts['unit']}"
            left, top = frame.x(_time(one.made)), frame.y(one.error)
            yield _at("a", "", left=left, top=top, href=address, title=said, tabindex="-1")


def _keys(*, used: bool, others: bool, over: bool) -> Iterator[Html]:
    """Return what the marks mean."""
    disc, ring, dash = "M12 6h0", "M12 6h0", "M5 6h14"
    if used:
        yield _key("in use, now or before", used="M0 6h24", discs=disc)
    if others:
        yield _key("not promoted", rings=ring, holes=ring)
    yield _key("training from scratch on the same measurements", scratch=dash)
    if over:
        yield element("span", "At the upper edge: errs by more.")


def _key(says: str, **paths: str) -> Html:
    return element("span", _svg(paths, class_="key", viewBox="0 0 24 12"), says)


def _svg(paths: dict[str, str], **attributes: str) -> Html:
    """Return a drawing of paths, by their classes; of those that are empty nothing."""
    drawn = [element("path", class_=name, d=path) for name, path in paths.items() if path]
    return element("svg", *drawn, **attributes)


def _at(tag: str, said: str, *, left: float | None = None, top: float | None = None, **attributes: str) -> Html:
    """Return an element at a place of the frame, in per cent."""
    places = {name: place for name, place in (("left", left), ("top", top)) if place is not None}
    style = ";".join(f"{name}:{place:.2f}%" for name, place in places.items())
    return element(tag, said, style=style, **attributes)


def minute(time: str) -> str:
    """Return a time in ISO format as people read it, to the minute, in UTC."""
    return f"{_time(time):%Y-%m-%d %H:%M}"


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said).astimezone(UTC)
