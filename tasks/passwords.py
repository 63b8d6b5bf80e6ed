"""Passwords inside URLs: what may be shown, written or logged of a text that could have one."""

import re

# A user's name and password before the host, and a password among the parameters. A password may have slashes in it
# where it belongs to a database; in a web address the first slash ends the host.
BEFORE_HOST = re.compile(r"(?P<start>\b(?:https?://[^\s:/@]*:(?=[^\s/]*@)|(?!https?:)[\w+.-]+://[^\s:/@]*:))[^\s'\"]*@")
PARAMETER = re.compile(r"(?P<start>[?&](?:password|passwd|pwd)=)[^\s&'\"]*", re.IGNORECASE)


def hidden(text: str) -> str:
    """Return a text with *** in the place of each password: mysql+pymysql://me:***@host/qmdb."""
    return PARAMETER.sub(r"\g<start>***", BEFORE_HOST.sub(r"\g<start>***@", text))
