"""The transport's entry point."""


class Transport:
    """Faust's factory."""
