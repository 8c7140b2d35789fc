"""The one exception that the command line shows as a single line."""


class UserError(ValueError):
    """A mistake that the user can mend: one line, what was wrong and what to do.

    The command line prints it without a traceback and exits with code 2; from Python it is a ``ValueError``.
    """
