"""Consumer groups in memory: who is in one, who owns which partition numbers, what is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Place = tuple[str, int]
"""Topic and partition."""


class Member(NamedTuple):
    """A consumer as its group knows it: the metadata that goes with offsets."""

    group: str
    id: str
    generation: int


class Group:
    """A consumer group: who is in it, who owns which partition numbers, what is committed."""

    def __init__(self, name: str, numbers: int, tell: Callable[[str], None]) -> None:
        self.name = name
        self._tell = tell
        self.generation = 0
        self.preparing = False
        """A rebalance has begun and waits until all members have given back what they own."""
        self.members: dict[str, list[int]] = {}
        """To the partition numbers that each owns."""
        self.offsets: dict[Place, int] = {}
        self.rebalances = 0
        self._numbers = numbers
        self._joined: list[str] = []

    def join(self, member: str) -> None:
        """A new member; the others have to give back what they own."""
        self.members[member] = []
        self._joined.append(member)
        self._rebalance()

    def leave(self, member: str) -> None:
        """A member goes, or is thought to be gone."""
        if self.members.pop(member, None) is not None:
            self._joined = [one for one in self._joined if one != member]
            self._rebalance()

    def has_joined(self, member: str) -> bool:
        """Whether a member waits for the others."""
        return member in self._joined

    def gave_back(self, member: str) -> None:
        """A member has given back what it owned, and waits for the others."""
        if member in self.members and member not in self._joined:
            self._joined.append(member)
            self._complete()

    def _rebalance(self) -> None:
        if not self.preparing:
            self.preparing = True
            self.rebalances += 1
        self._complete()

    def _complete(self) -> None:
        if self.members and all(member in self._joined for member in self.members):
            self.preparing = False
            self.generation += 1
            self._joined = []
            members = sorted(self.members)
            for place, member in enumerate(members):
                self.members[member] = [n for n in range(self._numbers) if n * len(members) // self._numbers == place]
            shared = "; ".join(f"{member} has {self.members[member]}" for member in members)
            self._tell(f"group {self.name}, generation {self.generation}: {shared}")
