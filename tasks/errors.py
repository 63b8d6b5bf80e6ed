"""The one exception that users are meant to read: a sentence that says what is wrong, where, and what to do."""


class MatliftError(Exception):
    """A run cannot go on for a reason that the user can mend; the message is one clear sentence."""
