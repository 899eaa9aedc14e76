#!/bin/sh
# Bring .venv to what a lock file lists: tools/setup.sh requirements-dev.lock
# Packages are only added: the lock files of one commit agree on every version.
set -eu
UV="uv==0.13.9"
PYTHON="${PYTHON:-python3}"

fail() {
    echo "$1" >&2
    exit 1
}

say_how_to_get_venv() {
    fail "Python cannot make an environment: its venv or pip is missing (Debian: apt install python3-venv)."
}

make_environment() {
    command -v "$PYTHON" >/dev/null || fail "$PYTHON is missing (Debian: apt install python3 python3-venv)."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Homeroom needs Python 3.11 or newer, and this is $("$PYTHON" --version)."
    echo "Making .venv"
    # Debian keeps the pip that a new environment needs in a package of its own; pip may be there without it.
    if "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        "$PYTHON" -m venv .venv || say_how_to_get_venv
    else
        "$PYTHON" -m venv --without-pip .venv || say_how_to_get_venv
    fi
}

install_uv() {
    echo "Installing $UV"
    .venv/bin/python -m pip install --quiet "$UV" 2>/dev/null && return
    "$PYTHON" -m pip --python .venv/bin/python install --quiet "$UV" 2>/dev/null && return
    "$PYTHON" -m pip --version >/dev/null 2>&1 || .venv/bin/python -m pip --version >/dev/null 2>&1 ||
        say_how_to_get_venv
    fail "$UV cannot be installed from the package index; \`.venv/bin/python -m pip install $UV\` says why."
}

.venv/bin/python -c '' 2>/dev/null || make_environment
[ -x .venv/bin/uv ] || install_uv
echo "Installing the packages of $1"
# Compiled once, here: where Python may not write its bytecode, each process would need a second more to start.
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes --requirement "$1" ||
    fail "The packages of $1 cannot be installed (see above)."
