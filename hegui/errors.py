"""What ends a command with a clear word and a status, instead of a trace."""


class RefusedError(Exception):
    """The input or the surroundings do not allow it; the text says what to do. Status 2."""
