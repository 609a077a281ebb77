#!/bin/sh
# Make a virtual environment with pip in this folder, and touch nothing outside of it:  venv.sh PYTHON DIRECTORY
set -eu
python=$1 directory=$2

command -v "$python" >/dev/null || {
    echo "There is no $python. Install Python 3.11 or later, or name one: make PYTHON=python3.12 ..." >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is older than Python 3.11. Name a later one: make PYTHON=python3.12 ..." >&2
    exit 1
}
rm -rf "$directory"
if "$python" -c 'import ensurepip' 2>/dev/null; then  # Debian puts it into a package of its own
    exec "$python" -m venv "$directory"
fi
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$directory"
    exec "$python" -m pip --python "$directory/bin/python" install -q pip
fi
echo "$python has neither ensurepip nor pip. Ask an administrator to install one: apt-get install python3-venv" >&2
exit 1
