"""Installs ckanpackager.  The lower bounds are the ones that `make test-lowest` runs the tests with."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "ckanpackager/__init__.py").read_text())

setup(
    name="ckanpackager",
    version=VERSION[1] if VERSION else "",
    description="Packs CKAN resources of any size into ZIP archives and mails their links",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["ckanpackager", "ckanpackager.*"]),
    package_data={"ckanpackager": ["py.typed"], "ckanpackager.darwin_core": ["terms.txt"]},
    python_requires=">=3.11",
    install_requires=[
        "click>=8.1.8",
        "filelock>=3.30.0",
        'isal>=1.7.2; platform_machine in "x86_64 AMD64 aarch64 arm64"',
        "msgspec>=0.21.1",
        "orjson>=3.10.0",
        "pyyaml>=6.0.2",
        "requests>=2.32.4",
        "sqlalchemy>=2.0.40",
        "tabulate>=0.9.0",
        "urllib3>=2.6.3",
        "waitress>=3.0.1",
    ],
    extras_require={
        "test": [
            "aiosmtpd>=1.4.6",
            "hypothesis>=6.100",
            "lxml>=5.3",
            "openpyxl>=3.1.5",
            "pillow>=11.1",
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "python-dwca-reader>=0.16",
            "typing_extensions>=4.12",  # python-dwca-reader needs it and does not say so
        ],
        "lint": ["mypy>=1.15", "ruff>=0.9", "types-PyYAML", "types-requests", "types-tabulate", "types-waitress"],
    },
    entry_points={
        "console_scripts": [
            "ckanpackager = ckanpackager.cli.main:main",
            "ckanpackager-service = ckanpackager.cli.main:service",  # the original's name for `ckanpackager serve`
        ]
    },
)
