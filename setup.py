"""The compiled modules; all else about the package is in pyproject.toml."""

import hashlib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(path for path in Path("rules").iterdir() if path.suffix in {".pxd", ".pyx"})
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"rules.{path.stem}",
                [str(path)],
                depends=list(map(str, SOURCES)),
                # Each knows of which sources all were built: service.pack_cache compares.
                define_macros=[("SOURCE_DIGEST", f'"{DIGEST}"')],
            )
            for path in SOURCES
            if path.suffix == ".pyx"
        ],
        build_dir="build/cython",
    )
)
