"""A worker's name belongs to one live process: a second one of that name ends before it disturbs the first.

The name (``worker.id``) is that of the worker's transactions, and who begins them fences whoever had it. Two live
workers of one name would fence each other for ever. So a worker first looks whether its groups have a member of its
name (every consumer's ``client.id`` is the name): one that is dead is gone from them when its session is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from streams.clients import ClientSettings, Deadline, client_config, kafka_error
from streams.failures import REFUSED

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.25
_ASK_SECONDS: Final = 10.0
_PASSING: Final = frozenset(
    {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR}
)


class NameTakenError(Exception):
    """Another live process has this worker's name."""

    exit_code: ClassVar[int] = 3


def wait_for_name(client: ClientSettings, groups: Sequence[str], name: str, session_seconds: float) -> bool:
    """Wait until no member of ``groups`` is called ``name``: a dead one goes with its session. Blocks.

    False where that can't be known: a worker that may not look at its groups is told so in the log, and not held up.
    Raises :class:`NameTakenError` when one stays for longer than a session and its grace, ``KafkaException`` when the
    brokers don't answer.
    """
    # A coordinator that was restarted counts the session from its start.
    deadline = Deadline(2 * session_seconds + 2)
    admin = AdminClient(client_config(client))
    told = False
    while hosts := _hosts_of(admin, groups, name):
        if deadline.is_over:
            raise NameTakenError(
                f"another live worker is called {name!r} (at {', '.join(hosts)}): give each worker of the group "
                "a worker.id of its own, or end the other one"
            )
        if not told:
            _LOG.info("%s is still a member of its group, at %s: waiting for its session to end", name, hosts[0])
            told = True
        time.sleep(_LOOK_SECONDS)
    return hosts is not None


def check_name(client: ClientSettings, group: str, name: str, own_member: str) -> None:
    """Raise :class:`NameTakenError` when a member of ``group`` other than ``own_member`` is called ``name``. Blocks.

    For a worker that was asleep, lost its partitions and has just been given some: who else is in the group now is
    alive, and was started because this one seemed to be dead.
    """
    hosts = _hosts_of(AdminClient(client_config(client)), [group], name, own_member)
    if hosts:
        raise NameTakenError(f"this worker was away, and meanwhile another one, {name!r} at {hosts[0]}, took its name")


def _hosts_of(admin: AdminClient, groups: Sequence[str], name: str, own_member: str = "") -> list[str] | None:
    """Where the members of that name are; None where none is seen, but not all groups can be looked at."""
    answering = Retrying(
        retry=retry_if_exception(_is_passing),
        stop=stop_after_delay(_ASK_SECONDS),
        wait=wait_fixed(_LOOK_SECONDS),
        reraise=True,
    )
    found = [answering(_hosts_in, admin, group, name, own_member) for group in groups]
    hosts = sorted({host for some in found for host in some or ()})
    return None if not hosts and None in found else hosts


def _hosts_in(admin: AdminClient, group: str, name: str, own_member: str) -> set[str] | None:
    try:
        found = admin.describe_consumer_groups([group], request_timeout=_ASK_SECONDS)[group].result()
    except KafkaException as error:
        told = kafka_error(error)
        if told is None or told.code() not in REFUSED | {KafkaError.GROUP_ID_NOT_FOUND}:
            raise
        if told.code() in REFUSED:
            _LOG.warning("group %s can't be looked at for workers of this name: %s", group, told.str())
            return None
        return set()
    return {
        member.host.lstrip("/")
        for member in found.members
        if member.client_id == name and member.member_id != own_member
    }


def _is_passing(error: BaseException) -> bool:
    # What an admin client is answered is not marked as retriable.
    told = kafka_error(error)
    return told is not None and (told.retriable() or told.code() in _PASSING)
