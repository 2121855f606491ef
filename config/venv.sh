#!/bin/sh
# Make .venv hold what the given lock file names: sh config/venv.sh requirements.txt
# Needs a Python 3.11 or newer with its venv module; PYTHON= chooses one. Does nothing when nothing has changed.
set -eu

lock=$1
venv=.venv
stamp=$venv/installed

fail() {
    echo "Cannot install: $1" >&2
    exit 1
}

is_suitable() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_suitable "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11 or newer."
        echo "$PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python3.14 python; do
        if is_suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found; install one, or name it with PYTHON=/path/to/python3."
}

make_venv() {
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Making .venv with Python $version ..."
    rm -rf "$venv"
    if "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        "$python" -m venv "$venv" || fail "the virtual environment could not be made in $(pwd)/$venv."
        return
    fi
    # Some systems ship venv apart. An installed pip can fill an environment that has none of its own.
    if "$python" -c 'import venv, pip' >/dev/null 2>&1 && "$python" -m venv --without-pip "$venv" >/dev/null 2>&1; then
        return
    fi
    rm -rf "$venv"
    fail "this Python has no venv module; on Debian and Ubuntu: apt install python$version-venv"
}

# pip keeps its cache and looks for its settings below HOME; without a usable one, it does without.
pip_home() {
    if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
        HOME=$(mktemp -d)
        export HOME PIP_NO_CACHE_DIR=1
        trap 'rm -rf "$HOME"' EXIT
    fi
}

pip() {
    if "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
        "$venv/bin/python" -m pip "$@"
    else
        "$(find_python)" -m pip --python "$venv/bin/python" "$@"
    fi
}

# What is installed: the lock's content, the interpreter, and where we are (an environment cannot be moved).
fingerprint() {
    { cat "$1"; pwd; "$venv/bin/python" -V; } 2>/dev/null | cksum
}

is_installed() {
    # The other locks hold everything that requirements.txt does, in the same versions.
    others=
    [ "$lock" = requirements.txt ] && others="requirements-dev.txt requirements-cluster.txt requirements-mutants.txt"
    for done in "$lock" $others; do
        [ -f "$stamp.$done" ] && [ "$(cat "$stamp.$done")" = "$(fingerprint "$done")" ] && return
    done
    return 1
}

[ -w . ] || fail "$(pwd) is not writable by this account."
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || make_venv
is_installed && exit 0

pip_home
count=$(grep -c == "$lock")
echo "Installing $count packages into .venv (a minute or so, the first time only) ..."
rm -f "$stamp".*
# These, below Patroni and Cosmic Ray, are published as source alone; they are pure Python and need no compiler.
pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes \
    --only-binary :all: --no-binary pysyncobj,yattag,ydiff -r "$lock" ||
    fail "pip could not install $lock; its last lines say why (no network, or no space left?)."
fingerprint "$lock" >"$stamp.$lock"
