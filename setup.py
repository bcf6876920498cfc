"""The one compiled module; all else about the package is in pyproject.toml."""

import hashlib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path(__file__).with_name("rules") / "machine.pyx"

setup(
    ext_modules=cythonize(
        [
            Extension(
                "rules.machine",
                ["rules/machine.pyx"],
                # The module knows of which source it was built: service.pack_cache compares.
                define_macros=[
                    ("SOURCE_DIGEST", f'"{hashlib.sha256(SOURCE.read_bytes()).hexdigest()}"')
                ],
            )
        ],
        build_dir="build/cython",
    )
)
