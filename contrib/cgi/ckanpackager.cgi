#!/opt/ckanpackager/bin/python
import gc

gc.disable()  # one request, and the process is over
from ckanpackager.receiver.application import run_cgi  # noqa: E402

run_cgi()
