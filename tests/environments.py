"""Virtual environments for the tests that need one of their own; made once, kept under build/ until what is in them changes."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

FOLDER = ROOT / "build" / "envs"


def environment(name: str, *requirements: str) -> Path:
    """Return the Python of an environment that holds exactly `requirements` (pip arguments, files by path)."""
    content = [Path(part).read_text() if Path(part).is_file() else part for part in requirements]
    digest = hashlib.sha256(repr((sys.version, content)).encode()).hexdigest()[:10]
    folder = FOLDER / f"{name}-{digest}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        done = subprocess.run(install, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stderr[-2000:]
        ready.touch()
    return python
