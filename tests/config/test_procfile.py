"""Reading the Procfile."""

import pytest

from launcher.procfile import PROCFILE, Entry, ProcfileError, expand, parse


def test_entries_come_in_order_without_comments():
    assert parse("# all\n\nweb: run --port $PORT\nbeat:   tick\n") == [
        Entry("web", "run --port $PORT"),
        Entry("beat", "tick"),
    ]


@pytest.mark.parametrize("line", ["web run", "web:", ": run", "we b: run"])
def test_a_line_that_is_no_entry_is_refused_with_its_number(line):
    with pytest.raises(ProcfileError, match="line 2"):
        parse(f"ok: true\n{line}\n")


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(ProcfileError, match="web a second time"):
        parse("web: a\nweb: b\n")


def test_variables_defaults_quotes_and_assignments_are_understood():
    argv, variables = expand(
        "MODE=${MODE:-fast} run 'two words' $PORT ${PORT}x ${HOST:-here}", {"PORT": "80"}
    )
    assert argv == ["run", "two words", "80", "80x", "here"]
    assert variables == {"MODE": "fast"}


def test_a_value_with_blanks_stays_one_word():
    assert expand("run $NAME", {"NAME": "a b; rm"})[0] == ["run", "a b; rm"]


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ProcfileError, match="PORT, which is not set"):
        expand("run $PORT", {})


@pytest.mark.parametrize("command", ["run 'open", "ONLY=1"])
def test_a_command_that_names_no_program_is_refused(command):
    with pytest.raises(ProcfileError):
        expand(command, {})


def test_the_projects_procfile_has_a_worker_for_each_queue(settings):
    commands = {entry.name: entry.command for entry in parse(PROCFILE.read_text())}
    for queue in settings.QUEUES:
        assert f"-Q {queue} -n {queue}@%h" in commands[f"worker-{queue}"]
