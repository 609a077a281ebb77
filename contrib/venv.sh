#!/bin/sh
# Make a virtual environment with pip:  venv.sh PYTHON DIRECTORY
# Debian splits venv from python3: then pip fills an empty one, or apt-get brings what is missing.
set -eu
python=$1 directory=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "ckanpackager needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2
    exit 1
}
rm -rf "$directory"
if "$python" -c 'import ensurepip' 2>/dev/null; then
    exec "$python" -m venv "$directory"
fi
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$directory"
    exec "$python" -m pip --python "$directory/bin/python" install -q pip
fi
if [ "$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
    $sudo apt-get update -q >/dev/null
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "python$version-venv" >/dev/null
    exec "$python" -m venv "$directory"
fi
echo "$python has neither ensurepip nor pip; have an administrator install them: apt-get install python3-venv" >&2
exit 1
