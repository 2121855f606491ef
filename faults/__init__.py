"""Trouble on purpose: named places in the code at which a process can be killed, frozen, delayed or failed.

    FAULTS="authorize.after_call:kill@3,settle.before_commit:stop,post.after_commit:sleep=5@%50"
    FAULTS_DIR=/some/folder        # where the processes count passages together

Each rule is `place:what@when`.

    place   one of `faults.places.PLACES`; a name that is not there stops the process at its start
    what    kill     SIGKILL to the process itself: nothing is cleaned up, as in a crash
            stop     SIGSTOP to itself: a frozen process, until somebody sends SIGCONT (a zombie owner)
            error    raises `faults.script.Planned`, an exception that nobody expects
            sleep=S  sleeps for S seconds, with whatever locks are held there
    when    N        the Nth passage (the default is 1)
            %N       every Nth passage

Passages are counted by all processes together, through a file in FAULTS_DIR: the third passage comes once,
so a worker that is restarted after its death does not die for ever. `faults.script.passages` reads the
counts; `reset` starts again from nothing. Without FAULTS nothing is counted and a place costs an empty call.
Settings refuse FAULTS unless DEBUG is on.
"""

import os

from faults.script import Script

if os.environ.get("FAULTS"):
    point = Script.from_environment(os.environ).pass_by
else:

    def point(place: str, /) -> None:
        """Pass a place where something might be made to go wrong."""
