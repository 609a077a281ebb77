"""HTTP to CKAN and to the hosts of files: every wait and every body is bounded, every address is checked."""

from ckanpackager.http_client.client import LONGEST_WAIT, MAX_BYTES, OK, TRIES, Client, Refused, Unavailable

__all__ = ["LONGEST_WAIT", "MAX_BYTES", "OK", "TRIES", "Client", "Refused", "Unavailable"]
