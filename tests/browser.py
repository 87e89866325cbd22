"""A headless browser, where the machine has one."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def screenshot(page: Path, width: int = 1280, height: int = 3000) -> np.ndarray:
    """Render a page without a network and return its pixels; skip the test without a browser."""
    browser = next(filter(None, map(shutil.which, _NAMES)), None)
    if browser is None:
        pytest.skip(f"no browser found, looked for {', '.join(_NAMES)}")
    picture = page.with_suffix(".screenshot.png")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    # Whatever is not a file fails at once.
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent / 'b'}"]
    options += [f"--window-size={width},{height}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=120)
    return np.asarray(Image.open(picture).convert("RGB"))
