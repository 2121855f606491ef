"""Fault injection: named points at which a process is killed, frozen, delayed or made to fail.

    FAULTS="authorize.after_call:kill@3,settle.before_commit:stop,post.after_commit:sleep=5@%50"
    FAULTS_DIR=/some/folder        # shared passage counts

Each rule is `place:what@when`.

    place   one of `faults.places.PLACES`
    what    kill     SIGKILL itself, as in a crash
            stop     SIGSTOP itself (a zombie owner)
            error    raise `faults.script.Planned`
            sleep=S  sleep S seconds, holding any locks
    when    N        the Nth passage (default 1)
            %N       every Nth passage

Processes share the counts, so a rule does not kill a restarted worker again. Settings refuse FAULTS outside DEBUG.
"""

import os

from faults.script import Script

if os.environ.get("FAULTS"):
    point = Script.from_environment(os.environ).pass_by
else:

    def point(place: str, /) -> None:
        """No-op."""
