"""Writes the store's page so that of several who publish at once nobody is left out."""

from tasks.errors import MatliftError
from tasks.s3 import TRIES
from tasks.site.page import write_page
from tasks.site.records import gather
from tasks.store import Store

PAGE = "index.html"


def rebuild(store: Store) -> None:
    """Write the page anew if the store says anything else than it does.

    Of two who do so at once, the one that has written later has also looked later: the other one's write fails, and it
    looks again.

    Raises:
        MatliftError: the store cannot be used, or others keep writing the page.
    """
    for _ in range(TRIES):
        tag = store.files.tag(PAGE)
        page = write_page(gather(store)).encode()
        if tag is None:
            done = store.files.create(PAGE, page)
        else:
            done = store.files.get(PAGE) == page or store.files.replace_if(PAGE, page, tag)
        if done:
            return
    raise MatliftError(f"{PAGE} in the store {store.url} keeps being changed by others: run again")
