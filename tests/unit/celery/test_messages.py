"""What packers tell the dispatcher of a failure is the failure itself."""

import pytest

from ckanpackager.celery.messages import Outcome, failed
from ckanpackager.errors import CkanpackagerError, NoRoom, OverLimit, PermanentFailure, TemporaryFailure, WorkerDied
from ckanpackager.http_client import Refused


@pytest.mark.parametrize(
    "error",
    [
        TemporaryFailure("503", 60, public="later"),
        NoRoom("the store is full", public="a problem"),
        WorkerDied("gone"),
        OverLimit("this selection has 501 rows"),
        PermanentFailure("no such resource"),
        Refused("not authorized", 403),
    ],
)
def test_a_failure_of_every_kind_arrives_as_it_was(error: CkanpackagerError) -> None:
    with pytest.raises(CkanpackagerError) as caught:
        failed(error).archive_or_error()
    assert type(caught.value) is type(error)
    assert (str(caught.value), caught.value.public) == (str(error), error.public)
    assert getattr(caught.value, "retry_after", None) == getattr(error, "retry_after", None)


def test_an_outcome_of_an_unknown_error_is_permanent() -> None:
    with pytest.raises(PermanentFailure):
        Outcome(kind="permanent", error="x").archive_or_error()
