"""When a worker cuts: each second, sooner for a breach, later while it catches up."""

from __future__ import annotations

from streams.pace import CATCH_UP_SECONDS, DUE_SECONDS, Pace


def cuts(pace: Pace, begin: float, end: float, *, behind: bool = False, due: bool = False) -> list[float]:
    """When it cuts, asked every tenth of a second."""
    found = []
    for tenth in range(round(10 * begin), round(10 * end)):
        if pace.is_time(tenth / 10, behind=behind, due=due):
            pace.cut(tenth / 10)
            found.append(tenth / 10)
    return found


def test_it_cuts_once_in_an_interval() -> None:
    assert cuts(Pace(1.0, 0.0), 0.0, 3.5) == [1.0, 2.0, 3.0]


def test_what_is_due_is_cut_soon() -> None:
    pace = Pace(1.0, 0.0)
    assert cuts(pace, 0.0, 0.9, due=True)[0] <= DUE_SECONDS + 0.1


def test_a_shorter_interval_holds_for_what_is_due_too() -> None:
    assert cuts(Pace(0.05, 0.0), 0.1, 0.5, due=True) == [0.1, 0.2, 0.3, 0.4]


def test_catching_up_it_cuts_seldom_and_at_once_when_it_has_caught_up() -> None:
    pace = Pace(1.0, 0.0)
    assert cuts(pace, 0.0, 100.0) != []
    # A backlog that begins at 100 s is not cut before it was read for long, although the last cut is a while ago.
    assert cuts(pace, 100.0, 125.0, behind=True, due=True) == [99.9 + CATCH_UP_SECONDS, 99.9 + 2 * CATCH_UP_SECONDS]
    assert cuts(pace, 125.0, 125.1) == [125.0]
