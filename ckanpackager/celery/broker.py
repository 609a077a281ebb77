"""The Celery application, for packers and dispatchers alike: the broker, and how it is used."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ckanpackager.config.settings import Engine, Settings
from ckanpackager.errors import ConfigError

if TYPE_CHECKING:
    from celery import Celery

BEGUN = "PROGRESS"  # the state in which a packer reports again and again, from its first sign of life on
WAITING = "PENDING"  # Celery's word for a task that it knows nothing of: it waits in a queue, or is lost
WITHDRAWN = "REVOKED"  # the dispatcher does not want the archive any more
SEES = "ckanpackager_sees"  # a question to packers: whether a file is there
LONGEST = 30 * 86400  # seconds before Redis delivers a message again that a packer has begun with: in effect, never


def application(settings: Settings, **own: Any) -> "Celery":
    """Raises ConfigError where the extra is not installed, or a URL is none."""
    try:
        from celery import Celery
        from cryptography.fernet import Fernet
    except ImportError:
        raise ConfigError("engine: celery needs the extra: pip install 'ckanpackager[celery]'") from None
    del Fernet  # `messages` needs it
    engine = settings.engine
    backend = engine.celery_result_backend or engine.celery_broker
    app = Celery("ckanpackager", broker=engine.celery_broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # A packer takes a job when it is free and none ahead, so a short one never waits behind a long one.
        worker_prefetch_multiplier=1,
        task_acks_late=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # what a packer has begun goes on
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a packer waits for its broker, however long
        broker_transport_options={"visibility_timeout": LONGEST, "socket_timeout": 30, "socket_connect_timeout": 10},
        redis_socket_timeout=30,
        redis_socket_connect_timeout=10,
        result_expires=7 * 86400,
        worker_send_task_events=True,  # for Flower
    )
    app.conf.update(own)
    return app


def address(engine: Engine) -> str:
    """The broker's URL without its password, for people."""
    parts = urlsplit(str(engine.celery_broker))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
