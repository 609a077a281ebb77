"""What became of an order, on its way from a packer to the dispatcher."""

import msgspec
import pytest

from ckanpackager.celery.messages import Outcome, failed
from ckanpackager.errors import CkanpackagerError, ConfigError, OverLimit, PermanentFailure, TemporaryFailure
from ckanpackager.http_client import Refused

ERRORS = [
    (Refused("no", 404), "refused"),
    (Refused("broken", 500), "site"),
    (TemporaryFailure("away", 5, kind="network"), "network"),
    (TemporaryFailure("odd"), ""),
    (PermanentFailure("a cell"), ""),
    (OverLimit("too much"), "bounds"),
    (ConfigError("no such program"), "configuration"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS)
def test_the_kind_of_a_failure_travels_with_it(error: CkanpackagerError, kind: str) -> None:
    sent = msgspec.json.decode(msgspec.json.encode(failed(error)), type=Outcome)
    with pytest.raises(CkanpackagerError) as raised:
        sent.archive_or_error()
    assert (raised.value.kind, str(raised.value)) == (kind, str(error))
