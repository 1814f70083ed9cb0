"""Measurements of deskpulse on a real broker: ``make bench``, or ``python -m bench --help`` for single ones."""
