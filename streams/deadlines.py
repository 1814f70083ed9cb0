"""How long everything of the exactly-once path may take, and how these times hang together.

=====================  ==========  =====================================================================================
heartbeat              session/5   a few may be lost before the group gives the partitions away
session                setting     ``worker.session_timeout``: a worker that is gone or asleep is replaced after this
request                <= 10 s     librdkafka holds an unanswered request of a producer to the transaction's time-out
delivery               10 s        librdkafka holds a record in the queue to the transaction's time-out, too
transaction            10 s        the coordinator aborts it then, and whoever began it is fenced: a dead worker's open
                                   transaction holds up readers (and a restore) no longer than this, and the broker's
                                   ``transaction.abort.timed.out.transaction.cleanup.interval.ms`` on top
giving back            20 s        one deadline for all steps of a rebalance's first half, or of the worker's end
end                    28 s        after SIGTERM: giving back and leaving the group; containers are killed after 30 s
commit                 60 s        a transaction that the brokers' absence has aborted is begun again until then
poll                   300 s       the group's own limit for a rebalance (``max.poll.interval.ms``, librdkafka's)
=====================  ==========  =====================================================================================

What follows from their order: session < transaction, so a worker's successor usually waits for the transaction only
where one was open; transaction < commit, so a broker may be away for longer than a transaction can last and the cut is
still committed whole, by the next attempt; giving back < end < 30 s; all of them < poll.
"""

from __future__ import annotations

from typing import Final

HEARTBEATS_A_SESSION: Final = 5
TRANSACTION_SECONDS: Final = 10.0
COMMIT_SECONDS: Final = 60.0
GIVE_BACK_SECONDS: Final = 20.0
LEAVE_SECONDS: Final = 5.0
"""For leaving the group, beyond the time for giving back."""
END_SECONDS: Final = 28.0
RECONNECT_MS: Final = 1_000
"""The longest pause between two attempts to reach a broker; librdkafka's own 10 s would come on top of an outage."""
