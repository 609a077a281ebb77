"""What the commands share: the options before the command, the configuration and the spool."""

import logging
import os
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from ckanpackager import logs
from ckanpackager.archives.store import Store, open_store
from ckanpackager.cli import remote
from ckanpackager.config.load import find_configuration, load_settings
from ckanpackager.config.settings import Settings
from ckanpackager.spool.queue import Spool


class CliContext(Struct, dict=True):
    """What the commands share: the configuration and the spool, read when a command needs them."""

    file: Path | None
    quiet: bool
    remote: remote.Options
    verbose: bool = False

    @cached_property
    def found_file(self) -> Path:
        """The configuration file.  Raises ConfigError."""
        return find_configuration(self.file, os.environ, Path.cwd())

    @cached_property
    def settings(self) -> Settings:
        settings = load_settings(self.found_file, os.environ)
        if settings.logging.debug:
            logging.getLogger().setLevel(logging.DEBUG)
        if settings.logging.log:
            logs.add_target(settings.logging.log)
        return settings

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings)

    @cached_property
    def spool(self) -> Spool:
        spool = Spool(Path(self.settings.spool.spool_directory))
        spool.prepare()
        return spool
