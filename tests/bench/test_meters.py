"""The kernel's accounts of processes: what they say of one that works, and of one that has ended."""

import os
import subprocess
import sys

import pytest

from bench import meters

WORK = "sum(range(10_000_000))"


def test_a_process_that_works_is_charged_for_it():
    before = meters.read({"me": [os.getpid()]})
    cpu = os.times()
    sum(range(5_000_000))
    spent = os.times().user + os.times().system - cpu.user - cpu.system
    usage = meters.read({"me": [os.getpid()]}).since(before)
    assert usage.groups["me"] >= spent * 0.5


def test_a_child_that_has_ended_is_still_charged_to_its_group():
    before = meters.read({"me": [os.getpid()]})
    subprocess.run([sys.executable, "-c", WORK], check=True)
    assert meters.read({"me": [os.getpid()]}).since(before).groups["me"] > 0.05


def test_a_process_that_is_not_there_costs_nothing():
    assert meters.read({"gone": [2**22 + 1]}).groups == {"gone": 0.0}


def test_cost_per_order():
    usage = meters.Usage(seconds=2.0, groups={"web": 0.5}, others=0.5, steal=0.0)
    assert usage.micros_per(1000) == {"web": 500.0}
    assert usage.micros_per(0) == {}


def test_a_group_that_tells_its_own_cost_is_not_counted_among_the_others():
    usage = meters.Usage(seconds=10.0, groups={}, others=0.5, steal=0.0)
    told = usage.with_group("load generator", 2.0)
    assert told.groups == {"load generator": 2.0}
    assert told.others == pytest.approx(0.5 - 0.2 / (os.cpu_count() or 1))


def test_memory_is_what_the_process_has_mapped():
    assert meters.pss_megabytes([os.getpid()]) > 5
