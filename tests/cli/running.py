"""What the tests of the commands share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "packets"

Run = Callable[..., Result]
RunProgram = Callable[..., "subprocess.CompletedProcess[str]"]
Options = tuple[str, ...]
