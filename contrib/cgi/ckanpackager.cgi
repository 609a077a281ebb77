#!/opt/ckanpackager/bin/python
import gc
import sys

gc.disable()  # one request, and the process is over
sys.modules["typing_extensions"] = None  # msgspec can do without it, and starts sooner; SQLAlchemy cannot
import msgspec  # noqa: E402, F401

del sys.modules["typing_extensions"]
from ckanpackager.receiver.application import run_cgi  # noqa: E402

run_cgi()
