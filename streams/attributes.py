"""What a ticket is described by, and the dimensions that follow from it.

A history holds patches: what an event set. What a fold needs after each of them is only the combination of dimensions,
the policy, who began, who handles, the channel and the category; these states are few, and are nodes of a graph that
grows as patches are met, so that a step is one look-up. All attributes together are put together once, when facts are
published.
"""

from __future__ import annotations

from typing import Final

from schemas.outputs import ATTRIBUTES
from streams.json_object import JsonObject
from streams.measures import TARGETS
from streams.patches import settings_of
from streams.policies import NO_POLICIES, Policies, Policy

_MOST_PATCHES: Final = 20_000
_FIRST: Final = ("origin", "handler", "channel", "category", "priority", "team")
"""What every state begins with; the dimensions and what policies look at follow."""


class Patch:
    """The attributes that an event sets."""

    __slots__ = ("fields", "json", "relevant", "step")

    def __init__(self, text: str, places: list[int]) -> None:
        """``text``: of ``patches.patch_of``; ``places`` of the attributes in ``ATTRIBUTES`` that a state holds."""
        self.fields: list[bytes | None] = [None] * len(ATTRIBUTES)
        """Each as JSON, None where not set."""
        values: list[str | None] = [None] * len(ATTRIBUTES)
        for setting in settings_of(text):
            self.fields[setting.place] = setting.json
            values[setting.place] = setting.value
        self.json = b",".join([field for field in self.fields if field is not None])
        self.relevant = [values[place] for place in places]
        """Those that a state holds, None where not set."""
        set_here = [self.fields[place] for place in places]
        self.step = b",".join([field for field in set_here if field is not None])
        """The same as one text, which is found faster; empty of none at all."""


def put_attributes(record: JsonObject, patches: list[Patch]) -> None:
    """Write all attributes after some patches, in their order."""
    if len(patches) == 1:
        record.fields(patches[0].json)
        return
    for place in range(len(ATTRIBUTES)):
        last = len(patches) - 1
        while last >= 0:
            field = patches[last].fields[place]
            if field is not None:
                record.fields(field)
                break
            last -= 1


class Dimensions:
    """Numbers the combinations of the configured dimensions; numbers hold as long as the changelog that has them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.values: list[tuple[str, ...]] = []
        """The values of each combination, by its number."""
        self._numbers: dict[tuple[str, ...], int] = {}
        self._fresh: list[int] = []
        self._unused: list[int] = []
        self._others: dict[int, dict[str, str]] = {}
        """Combinations of dimensions that were configured once."""

    def number(self, values: tuple[str, ...]) -> int:
        """The number of a combination."""
        known = self._numbers.get(values)
        if known is None:
            if self._unused:
                known = self._unused.pop()
                self.values[known] = values
            else:
                known = len(self.values)
                self.values.append(values)
            self._numbers[values] = known
            self._fresh.append(known)
        return known

    def named(self, number: int) -> dict[str, str]:
        """The combination as names and values."""
        other = self._others.get(number)
        return dict(zip(self.names, self.values[number], strict=True)) if other is None else other

    def take_fresh(self) -> list[int]:
        """The numbers given since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def renew(self) -> object:
        """Hold the combinations as new objects: those of now came among others and keep the memory of all of them.

        Returns those of before: while any is to be renewed they must stay, or Python would use them again for it.
        """
        before = self.values
        self.values = [(*values,) for values in before]
        self._numbers = {self.values[number]: number for number in self._numbers.values()}
        return before

    def restore(self, number: int, named: dict[str, str]) -> None:
        """Give a combination the number that it had."""
        while len(self.values) <= number:
            self.values.append(())
        self._others.pop(number, None)
        self.values[number] = tuple([named.get(name, "") for name in self.names])
        if tuple(named) != self.names:
            self._others[number] = named

    def restored(self, used: set[int]) -> None:
        """All combinations are restored; numbers that are not ``used`` may be given again."""
        self._numbers = {}
        for number, values in enumerate(self.values):
            if number not in used:
                self._unused.append(number)
                self._others.pop(number, None)
            elif number not in self._others:
                self._numbers[values] = number


class State:
    """What figures depend on of a ticket's attributes at one time."""

    __slots__ = (
        "at_risk_ms",
        "category",
        "channel",
        "dimensions",
        "following",
        "handled_by_bot",
        "policy",
        "priority",
        "started_by_customer",
        "target_ms",
        "team",
        "values",
    )

    def __init__(self, values: tuple[str, ...], dimensions: int, policy: Policy | None) -> None:
        self.values = values
        """Origin, handler, channel, category, priority and team, then what else figures depend on."""
        self.dimensions = dimensions
        """The number of the combination of dimensions."""
        self.policy = policy
        """The policy in force."""
        self.target_ms = [-1 if policy is None else policy.targets.get(target, -1) for target in TARGETS]
        """The business time of each of ``TARGETS``, milliseconds; -1 for none."""
        self.at_risk_ms = [
            -1 if policy is None or target not in policy.targets else policy.at_risk_ms(target) for target in TARGETS
        ]
        """After which it is at risk."""
        self.started_by_customer = values[0] not in ("agent", "proactive")
        self.handled_by_bot = values[1] == "bot"
        self.channel = values[2]
        self.category = values[3]
        self.priority = values[4]
        self.team = values[5]
        self.following: dict[bytes, State] = {}
        """By ``Patch.step``."""


class AttributeGraph:
    """All states met so far, and the patches that lead from one to another."""

    def __init__(
        self, dimensions: Dimensions, policies: Policies = NO_POLICIES, patches: dict[str, Patch] | None = None
    ) -> None:
        """``patches``: what graphs of the same configuration share, so that each patch is read once."""
        self.dimensions = dimensions
        self.policies = policies
        looked_at = {name for policy in policies for name in policy.when}
        self._names = tuple(dict.fromkeys((*_FIRST, *dimensions.names, *sorted(looked_at))))
        self._places = [self._names.index(name) for name in dimensions.names]
        self._attributes = [ATTRIBUTES.index(name) for name in self._names]
        self._states: dict[tuple[str, ...], State] = {}
        self._patches: dict[str, Patch] = {} if patches is None else patches
        self.root = self._state(("",) * len(self._names))

    def let_go(self) -> None:
        """Drop all states; they lead to each other in circles, which nothing else would take apart soon."""
        for state in self._states.values():
            state.following.clear()
        self._states.clear()
        self._patches.clear()

    def after(self, state: State, patch: Patch) -> State:
        """The state after a patch."""
        if not patch.step:
            return state
        following = state.following.get(patch.step)
        if following is None:
            values = tuple([old if new is None else new for old, new in zip(state.values, patch.relevant, strict=True)])
            following = state.following[patch.step] = self._state(values)
        return following

    def patch(self, text: str) -> Patch:
        """A patch by its text (``patches.patch_of``)."""
        patch = self._patches.get(text)
        if patch is None:
            if len(self._patches) >= _MOST_PATCHES:
                self._patches.clear()
            patch = self._patches[text] = Patch(text, self._attributes)
        return patch

    def _state(self, values: tuple[str, ...]) -> State:
        state = self._states.get(values)
        if state is None:
            number = self.dimensions.number(tuple([values[place] for place in self._places]))
            state = self._states[values] = State(values, number, self._policy(values))
        return state

    def _policy(self, values: tuple[str, ...]) -> Policy | None:
        if not self.policies:
            return None
        known = dict(zip(self._names, values, strict=True))
        return self.policies.match(tuple([known.get(name, "") for name in ATTRIBUTES]))
