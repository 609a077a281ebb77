"""A `zip_command` that is everywhere: a few lines of Python, run as `zip -j OUTPUT INPUT...` is."""

import shlex
import sys

_PROGRAM = """
import os, sys, zipfile
archive, *files = sys.argv[1:]
if os.path.exists(archive) and not zipfile.is_zipfile(archive):
    sys.exit(archive + " is no archive")
with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zip:
    for file in files:
        zip.write(file, os.path.basename(file))
"""
ZIP_COMMAND = f"{shlex.quote(sys.executable)} -S -c {shlex.quote(_PROGRAM)} {{output}} {{input}}"
