"""How many requests come from one address in an hour, counted in CKAN's Redis."""

from __future__ import annotations

import hashlib
import logging
import time

import ckan.plugins.toolkit as tk
from ckan.lib.redis import connect_to_redis
from redis.exceptions import RedisError

from ckanext.packager import settings
from ckanext.packager.addresses import client_address

log = logging.getLogger(__name__)
_HOUR = 3600


class TooMany(Exception):
    """That was one too many."""


def count_request() -> None:
    """Count a request from the address that the page is being made for.  Raises TooMany.

    Without Redis no request is refused: a portal whose Redis is down should still serve.
    """
    limit = settings.rate_limit()
    if limit <= 0:
        return
    address = client_address(
        tk.request.remote_addr or "", tk.request.headers.get("X-Forwarded-For", ""), settings.trusted_proxies()
    )
    site = tk.config.get("ckan.site_id")
    hashed = hashlib.sha256(f"{site} {address}".encode()).hexdigest()[:32]
    key = f"ckanext-packager:{site}:requests:{hashed}:{int(time.time() // _HOUR)}"
    try:
        redis = connect_to_redis()
        number = redis.incr(key)
        redis.expire(key, _HOUR)
    except RedisError as error:
        log.warning("Requests are not limited: Redis does not answer (%s)", error)
        return
    if number > limit:
        raise TooMany
