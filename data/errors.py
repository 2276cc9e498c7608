"""The one kind of error that a person can mend: its message names the place and the cure."""


class InputError(ValueError):
    """Data, settings or files cannot be used as they are. Commands end with exit code 2."""
