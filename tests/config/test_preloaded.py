"""Programs as forks of the launcher, over real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import prefork

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not prefork.is_supported(), reason="no program is forked here")

# A launcher in small: forks the program named by its argument, with a file open that is none of its business.
LAUNCHER = """
import os, signal, sys
from launcher.prefork import Forked

reader, writer = os.pipe()
program = Forked([sys.executable, sys.argv[1], "an argument"], death_signal=signal.SIGKILL, output=1)
os.close(writer)
os.read(reader, 1)  # returns when nobody holds the other end any more
status = program.wait()
print("ended with", status, flush=True)
"""


def launch(folder: Path, code: str) -> str:
    """Fork a program with this code; return what it and its launcher printed."""
    program = folder / "program.py"
    program.write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(program)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout


def test_a_program_has_its_own_arguments_name_title_and_group(tmp_path):
    output = launch(
        tmp_path,
        "import os, pathlib, sys\n"
        "assert sys.argv[1:] == ['an argument'] and __name__ == '__main__'\n"
        "assert os.getpgid(0) == os.getpid()\n"
        "print(pathlib.Path('/proc/self/cmdline').read_text())",
    )
    assert f"{tmp_path}/program.py an argument" in output
    assert "ended with 0" in output


@pytest.mark.parametrize(
    ("last_words", "status"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit('said why')", 1),
        ("raise ValueError('said why')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_a_program_ends_with_its_own_status(tmp_path, last_words, status):
    output = launch(tmp_path, f"import os, signal, sys\n{last_words}")
    assert output.splitlines()[-1] == f"ended with {status}"
    assert ("said why" in output) == ("said why" in last_words)


def test_a_program_does_at_its_end_what_it_has_put_off_until_then(tmp_path):
    output = launch(
        tmp_path,
        "import atexit, threading, time\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()",
    )
    assert output.splitlines() == ["thread", "at exit", "ended with 0"]


def test_only_what_this_interpreter_runs_is_forked(tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!{sys.executable}\n")
    assert prefork.is_python([sys.executable, "-m", "sandbox"])
    assert prefork.is_python([str(Path(sys.executable).parent / "celery"), "-A", "config"])
    assert not prefork.is_python([str(script)])
    assert not prefork.is_python(["/bin/sh"])


def test_preloading_starts_no_thread_which_a_fork_would_lose():
    code = (
        "import os, threading; from launcher import prefork; prefork.preload(os.environ);"
        " print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"]


def test_the_launcher_stays_alone_with_everything_imported():
    """A thread would not survive the fork; what a program imports by itself is not shared."""
    code = (
        "import os, sys, threading\n"
        "from launcher import prefork\n"
        "prefork.preload(os.environ)\n"
        "late = {'celery.worker.consumer.tasks', 'celery.app.amqp', 'uvicorn.protocols.http.httptools_impl',"
        " 'uvicorn.loops.uvloop', 'config.celery_ext.chord_results', 'django.core.cache.backends.redis',"
        " 'channels_redis.pubsub', 'billiard.popen_fork', 'starlette.applications', 'config.wsgi'}\n"
        "print(threading.active_count(), sorted(late - set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "1 []\n", done.stderr


def test_what_each_program_would_compute_alike_is_computed_before_the_fork():
    code = (
        "import os, logging\n"
        "from launcher import prefork\n"
        "prefork.preload(os.environ)\n"
        "import django, redis.utils\n"
        "from celery.utils.imports import load_extension_class_names\n"
        "from orders.models import Order\n"
        "logging.getLogger().handlers.append('mine')\n"
        "django.setup()\n"  # keeps the handler: logging is configured already
        "redis.utils.get_lib_version()\n"
        "print(logging.getLogger().handlers[-1], redis.utils.get_lib_version.cache_info().misses,"
        " load_extension_class_names.cache_info().currsize, '_relation_tree' in vars(Order._meta))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "mine 1 1 True\n", done.stderr
