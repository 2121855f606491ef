"""A deterministic simulation of the pipeline (row F48 of the fault matrix): the real decisions in a made-up world.

What is real: `orders.steps`, `orders.payment.answers`, `orders.payment.handover` (its steps), `orders.workflow`,
`orders.batches`, `orders.commands`, `orders.dispatcher`,
`payments.ledger` (asking) and `payments.returns`, as they run in production, unchanged. What is made up: rows,
locks, commits and rollbacks (`database`), the broker (`broker`), the payment provider (`provider`), the clock and
who runs when (`actors`). `ports` puts the one in the place of the other; `world` tells what happens in it.

Every kill point of `faults.places` is a place where a process may crash, freeze, or give way to another.
One seed is one world; the same seed is the same world, to the last event.

    python -m tests.simulation --orders 1000000 --seed 1        # a long run
    python -m tests.simulation --replay 4711                    # one world again, told event by event
"""
