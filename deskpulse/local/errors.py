"""What can be wrong with a machine that is to run the local stack."""


class LocalStackError(RuntimeError):
    """The local stack can't run here; the text says what is missing and what to do."""
