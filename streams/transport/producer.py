"""The producer of Faust's own sends (not of the transactions)."""


class Producer:
    """Faust's producer; a record that can't be delivered ends the worker."""
