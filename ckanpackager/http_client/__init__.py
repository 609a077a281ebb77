"""HTTP to CKAN and to the hosts of files: every wait and every body is bounded, every address is checked."""

from ckanpackager.http_client.client import OK, Client, Refused

__all__ = ["OK", "Client", "Refused"]
