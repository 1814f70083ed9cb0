"""What a ticket is described by, and the dimensions that follow from it.

Attributes are nodes of a graph that grows as patches are met: from a node, a patch leads to the node of the attributes
after it. A fold over a history is then one dictionary look-up per change.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.outputs import ATTRIBUTES

_MOST_NODES: Final = 100_000
ORIGIN: Final = ATTRIBUTES.index("origin")


class Dimensions:
    """Numbers the combinations of the configured dimensions; one for a worker, numbers hold while it lives."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.places = tuple(ATTRIBUTES.index(name) for name in names)
        self.values: list[tuple[str, ...]] = []
        """The values of each combination, by its number."""
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, attributes: tuple[str, ...]) -> int:
        """The number of the combination that these attributes (in the order of ``ATTRIBUTES``) belong to."""
        values = tuple([attributes[place] for place in self.places])
        known = self._numbers.get(values)
        if known is None:
            known = self._numbers[values] = len(self.values)
            self.values.append(values)
        return known

    def named(self, number: int) -> dict[str, str]:
        """The combination as names and values."""
        return dict(zip(self.names, self.values[number], strict=True))


class Attributes:
    """One state of a ticket's attributes."""

    __slots__ = ("_graph", "_next", "dimensions", "started_by_customer", "values")

    def __init__(self, graph: AttributeGraph, values: tuple[str, ...]) -> None:
        self.values = values
        self.dimensions = graph.dimensions.number(values)
        self.started_by_customer = values[ORIGIN] not in ("agent", "proactive")
        self._graph = graph
        self._next: dict[str, Attributes] = {}

    def after(self, patch: str) -> Attributes:
        """The attributes after a patch (``history.patch_of``)."""
        following = self._next.get(patch)
        if following is None:
            following = self._next[patch] = self._graph.step(self, patch)
        return following


class AttributeGraph:
    """All attributes met so far. Bounded: beyond a number of nodes it starts anew."""

    def __init__(self, dimensions: Dimensions) -> None:
        self.dimensions = dimensions
        self._nodes: dict[tuple[str, ...], Attributes] = {}
        self._root = Attributes(self, ("",) * len(ATTRIBUTES))

    @property
    def root(self) -> Attributes:
        """No attribute set. Ask for it before every fold: nodes do not outlive a fold."""
        if len(self._nodes) > _MOST_NODES:
            self._nodes = {}
            self._root = Attributes(self, ("",) * len(ATTRIBUTES))
        return self._root

    def step(self, start: Attributes, patch: str) -> Attributes:
        """Find or make the node that ``patch`` leads to."""
        values = list(start.values)
        for name, value in msgspec.json.decode(patch, type=dict[str, str]).items():
            values[ATTRIBUTES.index(name)] = value
        return self._node(tuple(values))

    def _node(self, values: tuple[str, ...]) -> Attributes:
        node = self._nodes.get(values)
        if node is None:
            node = self._nodes[values] = Attributes(self, values)
        return node
