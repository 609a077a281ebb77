"""Packaging on other machines by Celery.

    celery -A ckanpackager.celery worker --queues fast,slow        a packer

Only the packaging step travels: `messages` is what goes through the broker, `packer` what a packer does with it,
`packers` how the dispatcher sees all packers.  No other folder knows Celery.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`app`, which Celery's command looks for, is made when it is asked for: nothing happens at import."""
    if name == "app":
        from ckanpackager.celery.packer import application

        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
