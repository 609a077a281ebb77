from setuptools import setup

setup()  # all is in pyproject.toml; this file is for tools that want one
