"""One page of HTML that needs nothing but itself: its style is inside, and so are its pictures.

Every text is escaped, unless it is `Html` already.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
:root { --ink: #1b1b1b; --soft: #5c5c5c; --line: #d9d9d9; --paper: #fff; --tint: #f4f6f8; --link: #0b5c94; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a9a9a9; --line: #3d4146; --paper: #17191c; --tint: #22262b; --link: #7cc0f0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p { max-width: 46rem; margin: .6rem 0; }
ul { max-width: 46rem; padding-left: 1.2rem; }
a { color: var(--link); }
nav { font-size: .9rem; margin: 1.2rem 0 0; }
nav a { margin-right: 1rem; white-space: nowrap; }
code { font-size: .86em; overflow-wrap: anywhere; }
.soft, figcaption, small { color: var(--soft); font-size: .88rem; }
.verdict { font-size: 1.2rem; line-height: 1.45; margin: 1.2rem 0; max-width: 52rem; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem;
  margin: 1.2rem 0; }
.numbers div { background: var(--tint); border-radius: .4rem; padding: .7rem .9rem; font-size: .85rem;
  color: var(--soft); }
.numbers b { display: block; font-size: 1.45rem; line-height: 1.3; color: var(--ink); font-weight: 600; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .65rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: .3rem; }
th { vertical-align: bottom; font-weight: 600; border-bottom: 2px solid var(--soft); }
.n { text-align: right; }
td.n { white-space: nowrap; }
tr.marked td { font-weight: 600; background: var(--tint); }
figure { margin: 1rem 0 1.4rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; border-radius: .3rem; }
sub { line-height: 0; }
figcaption { margin-top: .5rem; max-width: 46rem; }
.what { display: flex; gap: .8rem; width: 22rem; }
.what > span { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.what img { flex: none; }
.what img { background: #fff; border-radius: .3rem; }
tr:target td { background: var(--tint); }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --tint: #f4f4f4; --link: #000; }
  body { max-width: none; padding: 0; font-size: .8rem; }
  nav { display: none; }
  figure, tr, .numbers { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
""".strip()

NUMBER = re.compile("[\N{MINUS SIGN}+±]?[0-9]")
DOI = re.compile(r"doi:(10\.[^\s,;]+)")


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def text(value: str) -> Html:
    """Return text as HTML: escaped, unless it is HTML, with percentages that no line break tears apart."""
    return value if isinstance(value, Html) else Html(escape(value).replace(" %", "&nbsp;%"))


def joined(*parts: str) -> Html:
    """Return parts one after the other, each escaped unless it is HTML."""
    return Html("\n".join(map(text, parts)))


def element(tag: str, *parts: str, **attributes: str) -> Html:
    """Return an element; attributes whose name is a word of Python end with an underscore."""
    said = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{said}>{''.join(map(text, parts))}</{tag}>")


def paragraph(*parts: str, **attributes: str) -> Html:
    """Return a paragraph."""
    return element("p", *parts, **attributes)


def bullets(lines: Sequence[str]) -> Html:
    """Return a list."""
    return element("ul", *(element("li", line) for line in lines))


def link(address: str, *parts: str) -> Html:
    """Return a link."""
    return element("a", *parts, href=address)


def cited(citation: str) -> Html:
    """Return a citation in which a DOI is a link."""
    said = escape(citation)
    return Html(DOI.sub(lambda found: f'<a href="https://doi.org/{found[1]}">{found[0]}</a>', said))


def picture(content: bytes, caption: str) -> Html:
    """Return a figure with its picture, PNG or SVG, inside."""
    return element("figure", image(content, caption), element("figcaption", caption))


def image(content: bytes, says: str, **attributes: str) -> Html:
    """Return a picture, PNG or SVG, with what it shows in words for those who cannot see it."""
    kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    said = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f'<img src="{address}" alt="{escape(says)}"{said}>')


def table(rows: Sequence[Mapping[str, str]], marked: str | None = None, ids: Sequence[str] = ()) -> Html:
    """Return a table; columns of numbers to the right, all else to the left.

    Args:
        rows: at least one; their keys are the columns' names.
        marked: the first cell of the row to stand out.
        ids: of the rows, for links to them; empty for none.
    """
    columns = list(rows[0])
    style = {column: {"class_": "n"} if _numeric([row[column] for row in rows]) else {} for column in columns}
    head = element("tr", *(element("th", column, **style[column]) for column in columns))
    body = []
    for place, row in enumerate(rows):
        attributes = {"class_": "marked"} if row[columns[0]] == marked else {}
        attributes |= {"id": ids[place]} if ids and ids[place] else {}
        body.append(element("tr", *(element("td", row[column], **style[column]) for column in columns), **attributes))
    content = element("table", element("thead", head), element("tbody", Html("\n".join(body))))
    return element("div", content, class_="wide")


def whole(title: str, *sections: str, style: str = "") -> str:
    """Return the page, in which a style of its own comes after that of all."""
    head = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{STYLE}{style}
</style>
</head>
<body>
"""
    return f"{head}{joined(*sections)}\n</body>\n</html>\n"


def _numeric(cells: Sequence[str]) -> bool:
    """Tell whether most of the cells that say something are numbers."""
    said = [cell for cell in cells if cell]
    numbers = [cell for cell in said if not isinstance(cell, Html) and NUMBER.match(cell)]
    return 2 * len(numbers) > len(said)
