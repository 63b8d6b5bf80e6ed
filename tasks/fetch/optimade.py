"""Any database that speaks OPTIMADE (10.1038/s41597-021-00974-z): one property of all structures that it has."""

import re
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tasks.errors import MatliftError
from tasks.fetch.about import About
from tasks.fetch.ask import BRIEF, Line, OddError, RefusedError
from tasks.fetch.crawl import Body, Page, Service, crawl
from tasks.fetch.journal import Row
from tasks.fetch.records import Records
from tasks.fetch.rows import number, records
from tasks.passwords import hidden
from tasks.recipe import Optimade


class Provider(NamedTuple):
    """A database that recipes may name.

    Attributes:
        name: for people, and before the ids of its records.
        url: its base.
        licence: under which it gives its data.
        citations: of it.
    """

    name: str
    url: str
    licence: str
    citations: tuple[str, ...]


PROVIDERS = {
    "materials-project": Provider(
        "Materials Project",
        "https://optimade.materialsproject.org",
        "The Materials Project is under the Creative Commons Attribution 4.0 licence (CC BY 4.0).",
        ("Materials Project: A. Jain et al., APL Mater. 1 (2013) 011002, doi:10.1063/1.4812323",),
    ),
    "jarvis": Provider(
        "JARVIS-DFT",
        "https://jarvis.nist.gov/optimade/jarvisdft",
        "For the licence of JARVIS-DFT see https://jarvis.nist.gov.",
        ("JARVIS: K. Choudhary et al., npj Comput. Mater. 6 (2020) 173, doi:10.1038/s41524-020-00440-1",),
    ),
    "alexandria": Provider(
        "Alexandria",
        "https://alexandria.icams.rub.de/pbe",
        "For the licence of Alexandria see https://alexandria.icams.rub.de.",
        ("Alexandria: J. Schmidt et al., Adv. Mater. 35 (2023) 2210788, doi:10.1002/adma.202210788",),
    ),
    "oqmd": Provider(
        "OQMD",
        "https://oqmd.org/optimade",
        "OQMD is under the Creative Commons Attribution 4.0 licence (CC BY 4.0).",
        (
            "OQMD: J. E. Saal et al., JOM 65 (2013) 1501, doi:10.1007/s11837-013-0755-4",
            "OQMD: S. Kirklin et al., npj Comput. Mater. 1 (2015) 15010, doi:10.1038/npjcompumats.2015.10",
        ),
    ),
}
PROTOCOL = "OPTIMADE: C. W. Andersen et al., Sci. Data 8 (2021) 217, doi:10.1038/s41597-021-00974-z"

FORMULAS = ("chemical_formula_reduced", "chemical_formula_descriptive")  # the first that a structure has is taken
SIZES = (500, 100, 20)  # structures of a page: servers refuse what is too much for them
VERSIONS = ("/v1", "")  # where a server answers below its base; without a version it need not


def about(data: Optimade) -> About:
    """Return what is to be said of the database."""
    provider = _provider(data)
    return About(
        computed=True,
        name=provider.name,
        what=f"the field {data.key} of each structure, read through OPTIMADE",
        licence=provider.licence,
        citations=(*provider.citations, PROTOCOL),
    )


def identity(data: Optimade) -> str:
    """Return what identifies the content: where it answers below its base, its version and its numbers of structures.

    Raises:
        MatliftError: it does not answer as OPTIMADE servers do, or has no such structures.
    """
    base = hidden(_provider(data).url)
    with Line() as line:
        version, body = _first(data, line)
    if not body.data:
        raise MatliftError(f"{base} has no structures" + f" for the filter {data.filter}" * bool(data.filter))
    meta = body.meta
    return f"{version or '/'} api {meta.api_version}, {meta.data_available} structures, {meta.data_returned} returned"


def read(data: Optimade, identity: str) -> Records:
    """Return a property of all structures as records; one without the property keeps its row.

    It is read page by page; a run that breaks off is gone on with.

    Raises:
        MatliftError: it cannot be read completely, or no structure has the property.
    """
    return gather(data, identity, _provider(data).name)


def gather(data: Optimade, identity: str, name: str) -> Records:
    """Return the same under another name of the database."""
    version = identity.partition(" ")[0].rstrip("/")
    service = Service(
        name=name,
        address=lambda offset, size: _address(data, version, {"page_limit": size, "page_offset": offset}),
        offset="page_offset",
        sizes=SIZES,
        read=partial(_page, data=data),
    )
    table = crawl(service, data.model_dump_json(), identity)
    if table["value"].isna().all():
        base = hidden(_provider(data).url)
        raise MatliftError(f"no structure of {name} has {data.key}: {base}{version}/info/structures lists its fields")
    return records(table, name, data.unit)


def _provider(data: Optimade) -> Provider:
    """Return the provider that a recipe names, or what is known of one that is only a URL."""
    if data.at in PROVIDERS:
        return PROVIDERS[data.at]
    host = urlsplit(data.at).hostname
    if not data.at.startswith(("http://", "https://")) or not host:
        raise MatliftError(f"{data.at} is neither a URL (https://…) nor one of {', '.join(PROVIDERS)}")
    url = data.at.rstrip("/")
    return Provider(host, url, f"For the licence see {hidden(url)}.", (f"The database at {hidden(url)}",))


def _first(data: Optimade, line: Line) -> tuple[str, Body]:
    """Return where the server answers below its base, and a page of one structure.

    A base that ends with a version is taken as it is.
    """
    base = _provider(data).url
    versions = ("",) if re.search(r"/v\d+$", base) else VERSIONS
    refusal: RefusedError | None = None
    for version in versions:
        url = _address(data, version, {"page_limit": 1})
        try:
            what = f"the structures of {hidden(base + version)}"
            return version, line.ask(url, Body.model_validate_json, what=what, patience=BRIEF)
        except RefusedError as error:
            refusal = refusal or error
    raise refusal or MatliftError(f"{hidden(base)} does not answer")


def _address(data: Optimade, version: str, paging: dict[str, int]) -> str:
    """Return the address of a page; unknown parameters are errors, and OQMD's server does not know how to sort."""
    fields = dict.fromkeys((*FORMULAS, data.key, data.energy or data.key))
    asked: dict[str, Any] = {"response_fields": ",".join(fields), **paging}
    if data.filter:
        asked["filter"] = data.filter
    return f"{_provider(data).url}{version}/structures?{urlencode(asked)}"


def _page(text: bytes, data: Optimade) -> Page:
    """Make a page of a body."""
    body = Body.model_validate_json(text)
    total = _total(body, filtered=data.filter is not None)
    return Page([_row(entry, data) for entry in body.data], body.next, total, body.meta.data_available)


def _row(entry: dict[str, Any], data: Optimade) -> Row:
    """Return what is kept of a structure. Ids are numbers at OQMD, and text elsewhere."""
    attributes = entry.get("attributes")
    if not isinstance(attributes, dict) or not isinstance(entry.get("id"), int | str):
        raise OddError("a structure has no id or no attributes")
    formula = next((attributes[name] for name in FORMULAS if attributes.get(name)), None)
    energy = number(attributes.get(data.energy)) if data.energy else None
    return Row(str(entry["id"]), formula, number(attributes.get(data.key)), energy)


def _total(body: Body, *, filtered: bool) -> int | None:
    """Return how many structures all pages have, as far as a page tells.

    It should be data_returned, the structures that pass the filter. OQMD has there how many are on the page, and their
    number in data_available, which should be the structures of the whole database. Some servers have neither.
    """
    here, returned, available = len(body.data), body.meta.data_returned, body.meta.data_available
    if returned is not None and returned > here:
        return returned
    if available is not None and available > here and (body.next or not filtered):
        return available
    return None
