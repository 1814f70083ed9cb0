"""Service-level policies: which tickets they hold for, what they promise, and by whose opening hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.outputs import ATTRIBUTES
from streams.calendars import ALWAYS, AlwaysOpen, Calendar
from streams.measures import TARGETS as TARGETS

DEFAULT_AT_RISK_SHARE: Final = 0.8
_MOST_REMEMBERED: Final = 100_000


@dataclass(frozen=True)
class Policy:
    """What is promised to some tickets. Raises ``ValueError`` for what is no attribute, no target or no share."""

    name: str
    calendar: Calendar = ALWAYS
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Attribute (of ``schemas.outputs.ATTRIBUTES``) to the values that it may have, empty for having none. A ticket
    must fit all of them; without any, every ticket fits."""
    targets: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Target (of :data:`TARGETS`) to its business time in milliseconds, above 0. Without any the policy gives its
    tickets their calendar alone."""
    at_risk_share: float = DEFAULT_AT_RISK_SHARE
    """The share of a target's time after which it is at risk; between 0 and 1."""

    def __post_init__(self) -> None:
        for names, known, kind in ((self.when, ATTRIBUTES, "attribute"), (self.targets, TARGETS, "target")):
            for name in names:
                if name not in known:
                    raise ValueError(f"`{name}` is no {kind}; expected one of {', '.join(known)}")
        if any(ms <= 0 for ms in self.targets.values()):
            raise ValueError("a target without any time; expected more than 0 ms")
        if not 0 < self.at_risk_share < 1:
            raise ValueError(f"at risk from a share of {self.at_risk_share}; expected one between 0 and 1")

    def at_risk_ms(self, target: str) -> int:
        """The business time after which ``target`` is at risk, in milliseconds. Raises ``KeyError`` without it."""
        return round(self.targets[target] * self.at_risk_share)

    def fits(self, attributes: tuple[str, ...]) -> bool:
        """Does the policy hold for a ticket of these attributes (in the order of ``ATTRIBUTES``)?"""
        return all(attributes[ATTRIBUTES.index(name)] in values for name, values in self.when.items())


class Policies:
    """Policies in order: the first that fits a ticket holds. Raises ``ValueError`` for a name that comes twice."""

    def __init__(self, policies: Sequence[Policy] = ()) -> None:
        self.policies = tuple(policies)
        names = [policy.name for policy in self.policies]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"several policies are called {', '.join(twice)}; expected a name of its own for each")
        self._matched: dict[tuple[str, ...], Policy | None] = {}

    def match(self, attributes: tuple[str, ...] | Mapping[str, str]) -> Policy | None:
        """The policy of a ticket, None where none fits.

        ``attributes`` are the values in the order of ``schemas.outputs.ATTRIBUTES``, empty where there is none, or
        those that there are by their names.
        """
        if not isinstance(attributes, tuple):
            attributes = tuple([attributes.get(name, "") for name in ATTRIBUTES])
        try:
            return self._matched[attributes]
        except KeyError:
            pass
        if len(self._matched) >= _MOST_REMEMBERED:
            self._matched.clear()
        found = next((policy for policy in self.policies if policy.fits(attributes)), None)
        self._matched[attributes] = found
        return found

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that any policy has, in the contract's order."""
        return tuple(target for target in TARGETS if any(target in policy.targets for policy in self.policies))

    @property
    def business(self) -> bool:
        """Is there a policy with a calendar that is not always open?"""
        return any(not isinstance(policy.calendar, AlwaysOpen) for policy in self.policies)

    def __iter__(self) -> Iterator[Policy]:
        return iter(self.policies)

    def __len__(self) -> int:
        return len(self.policies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policies) and self.policies == other.policies

    def __hash__(self) -> int:
        return hash(self.policies)


class PolicyNames:
    """Numbers policies by their names; numbers hold as long as the changelog that has them, whatever is configured."""

    def __init__(self, policies: Policies) -> None:
        self.names = [policy.name for policy in policies]
        self.fresh = bool(self.names)
        """Whether there are names that the changelog does not have."""

    def number(self, name: str) -> int:
        """The number of a policy of this name."""
        if name not in self.names:
            self.names.append(name)
            self.fresh = True
        return self.names.index(name)

    def restore(self, names: list[str]) -> None:
        """Give policies the numbers that they had."""
        self.names = [*names, *(name for name in self.names if name not in names)]
        self.fresh = len(self.names) > len(names)


NO_POLICIES: Final = Policies()
