"""A report on paper: Chromium prints the page, with the fonts it used inside the file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from data.errors import InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 120


def browser() -> str:
    """The path of an installed Chromium. Raises InputError with the cure."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise InputError(
        f"--pdf: none of {', '.join(BROWSERS)} is installed;"
        " on Debian: apt-get install chromium fonts-noto-cjk"
    )


def write(page: Path, pdf: Path) -> None:
    """Print an HTML file to a PDF. Raises InputError if the browser fails."""
    pdf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / pdf.name
        command = [
            browser(),
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        # Chromium refuses its sandbox to the superuser; the page is ours and fetches nothing.
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"--pdf: {command[0]} did not finish in {SECONDS} seconds") from error
        if done.returncode or not printed.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InputError(f"--pdf: {command[0]} printed nothing: {last[:300]}")
        shutil.move(printed, pdf)
