"""The README's pictures are made from the running program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.programs import needs
from support.workspace import PATIENCE

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PAGES = {"job-page": ("README.md", "docs/images"), "dashboard": ("docs/dashboard.md", "images")}  # where each is shown
PAGES["report"] = ("docs/statistics.md", "images")
GROUNDS = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x14, 0x18, 0x1D)}


def ground(path: Path) -> str:
    """Which of the grounds most pixels of a picture have; few colours are left, so it may be a shade beside it."""
    with Image.open(path) as image:
        pixels = image.convert("RGB").getcolors(image.width * image.height)
    _, colour = max(pixels)
    near = [name for name, known in GROUNDS.items() if all(abs(a - b) < 3 for a, b in zip(colour, known, strict=True))]
    return near[0] if near else str(colour)


def test_the_script_makes_all_pictures_again(tmp_path: Path) -> None:
    needs("chromium", debian="chromium")
    subprocess.run([sys.executable, IMAGES / "make.py", tmp_path], cwd=tmp_path, timeout=2 * PATIENCE, check=True)
    assert {path.name: ground(path) for path in tmp_path.iterdir()} == {
        f"{page}-{scheme}.png": scheme for page in PAGES for scheme in GROUNDS
    }


@pytest.mark.parametrize("scheme", GROUNDS)
@pytest.mark.parametrize("page", PAGES)
def test_each_picture_is_shown_and_they_are_small(page: str, scheme: str) -> None:
    path, (document, link) = IMAGES / f"{page}-{scheme}.png", PAGES[page]
    assert f"{link}/{path.name}" in (ROOT / document).read_text()
    assert path.stat().st_size < 80_000
    assert ground(path) == scheme


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "spool" / "README.md"):
        text = document.read_text()
        links = re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", text)
        for link in filter(None, (first or second for first, second in links)):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
