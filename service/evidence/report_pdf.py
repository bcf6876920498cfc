"""Sets documents as PDF/A-3b with their data attached; the same document, the same bytes."""

import tempfile
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import pylopdf_fonts_zh_cn
import typst


def render(
    template: str, document: dict[str, Any], *, now: datetime, attached: bytes | None = None
) -> bytes:
    """Set the template of that name from `document`, and attach it as JSON, or `attached` instead.

    `now` is the time that the file bears.
    """
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    folder = resources.files("service.evidence").joinpath("report_template")
    with tempfile.TemporaryDirectory(prefix="hegui-report-") as root:
        for entry in folder.iterdir():
            Path(root, entry.name).write_bytes(entry.read_bytes())
        Path(root, "data.json").write_bytes(data)
        Path(root, "report.json").write_bytes(attached if attached is not None else data)
        pdf: bytes = typst.compile(
            str(Path(root, f"{template}.typ")),
            root=root,
            format="pdf",
            font_paths=[str(Path(pylopdf_fonts_zh_cn.__file__).parent)],
            ignore_system_fonts=True,
            pdf_standards=["a-3b"],
            timestamp=int(now.timestamp()),
        )
    return pdf
