"""Which modules are mutated, and which fast tests have to notice: the cheapest first."""

from typing import NamedTuple


class Target(NamedTuple):
    modules: tuple[str, ...]
    tests: tuple[str, ...]


SIMULATION = (
    "tests/simulation/test_simulation.py::test_a_few_small_worlds_keep_every_promise_too",
    "tests/simulation/test_simulation.py::test_where_nothing_goes_wrong_no_order_waits_that_is_not_refused",
)
JOURNEYS = (
    "tests/orders/test_parked.py",
    "tests/orders/test_gifts.py",
    "tests/orders/test_undecided.py",
    "tests/orders/test_reversals.py",
)
TARGETS = {
    "workflow": Target(
        (
            "orders/workflow.py",
            "orders/rules/schedule.py",
            "orders/refunding/refunds.py",
        ),
        (
            "tests/orders/test_workflow.py",
            "tests/orders/test_workflow_details.py",
            *SIMULATION,
            *JOURNEYS,
        ),
    ),
    "decisions": Target(
        ("orders/payment/decisions.py",),
        (
            "tests/orders/test_workflow.py",
            "tests/orders/test_workflow_details.py",
            "tests/orders/test_undecided.py",
            "tests/orders/test_late_payments.py",
        ),
    ),
    "steps": Target(
        ("orders/steps.py",),
        (
            "tests/orders/test_workflow_details.py::test_a_cancelled_order_takes_over_how_its_money_was_returned",
            "tests/orders/test_workflow_details.py::test_a_leg_reaches_the_state_of_its_outcome_and_stays_without_capacity",
            *SIMULATION,
            "tests/orders/test_journey.py::test_a_batch_of_which_one_has_to_be_refused_waits_for_it",
            "tests/orders/test_journey.py::test_each_route_ends_its_batch",
            "tests/orders/test_journey.py::test_money_is_taken_once_the_stock_is_held",
            "tests/orders/test_journey.py::test_a_legs_step_saves_the_outcomes_of_its_work",
            "tests/orders/test_adjustments.py::test_a_discount_of_everything_leaves_nothing_to_pay",
            "tests/orders/test_journey.py::test_a_call_that_was_not_sent_leaves_no_transaction",
            "tests/orders/test_journey.py::test_a_step_that_breaks_on_one_order_stops_that_order_alone",
            "tests/orders/test_money_races.py::test_money_that_a_step_receives_after_the_order_has_ended_goes_back_too",
            "tests/orders/test_money_races.py::test_money_that_another_worker_returned_already_is_no_late_payment",
            "tests/orders/test_money_races.py::test_an_undo_that_is_delivered_twice_is_recorded_once",
            "tests/orders/test_refunds.py::test_a_cancellation_takes_over_what_is_requested",
            "tests/orders/test_journey.py::test_a_message_of_a_batch_that_is_long_forgotten_does_nothing",
            "tests/orders/test_allowances.py::test_it_waits_alone",
            "tests/attacks/test_blocked_goods.py::test_the_queue_holds_the_orders_that_wait_and_only_them",
            *JOURNEYS,
        ),
    ),
    "ledger": Target(
        ("payments/ledger.py",),
        (
            "tests/payments/test_ledger.py",
            "tests/payments/test_grace.py",
            "tests/payments/test_registry.py",
            "tests/orders/test_manual.py",
            *SIMULATION,
            *JOURNEYS,
            "tests/orders/test_money_races.py::test_a_transaction_that_another_worker_is_sending_is_not_struck_out",
            "tests/orders/test_journey.py::test_a_batch_that_waits_for_its_calls_goes_on_without_a_straggler",
            "tests/orders/test_stripe.py::test_a_call_that_is_begun_is_sent_again_in_the_same_step",
        ),
    ),
    "stock": Target(
        ("inventory/stock.py", "inventory/managers.py"),
        (
            "tests/inventory/test_stock.py",
            "tests/inventory/test_product_version.py",
            "tests/inventory/test_overwritten.py",
            "tests/orders/test_fair_share.py",
        ),
    ),
    "retention": Target(
        (
            "orders/maintenance/retention.py",
            "orders/maintenance/held.py",
            "orders/maintenance/archive.py",
        ),
        (
            "tests/orders/test_retention.py",
            "tests/orders/test_allowances.py::test_with_no_days_set_it_is_held_for_ever",
            "tests/orders/test_archive.py::test_months_are_whole_ones",
            "tests/orders/test_archive.py::test_an_order_of_long_ago_moves_with_everything_and_the_books_stay_right",
            "tests/orders/test_archive.py::test_what_is_not_at_rest_stays",
            "tests/orders/test_archive.py::test_what_somebody_holds_is_left_for_the_next_time",
            "tests/orders/test_archive.py::test_the_command_goes_month_by_month_and_reads_a_month_again",
            "tests/orders/test_archive.py::test_the_schedule_archives_only_where_it_is_asked_for",
            "tests/orders/test_archive.py::test_archiving_stops_when_its_time_is_up_and_goes_on_the_next_time",
            "tests/orders/test_archived_refunds.py::test_the_desk_offers_both_refunds_and_restores_for_what_is_confirmed",
        ),
    ),
    "events": Target(
        ("config/celery_ext/event_batching.py",),
        ("tests/config/test_event_batching.py",),
    ),
}
