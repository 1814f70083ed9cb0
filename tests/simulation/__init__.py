"""The worker's core against an in-memory log, from a seed: see ``docs/reliability.md``.

``python -m tests.simulation --help`` runs many seeds, or one with its story.
"""
