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
GROUNDS = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x14, 0x18, 0x1D)}


def ground(path: Path) -> tuple[int, ...]:
    """The colour of most pixels of a picture."""
    with Image.open(path) as image:
        pixels = image.convert("RGB").getcolors(image.width * image.height)
    _, colour = max(pixels)
    return colour


def test_the_script_makes_both_pictures_again(tmp_path: Path) -> None:
    needs("chromium", debian="chromium")
    subprocess.run([sys.executable, IMAGES / "make.py", tmp_path], cwd=tmp_path, timeout=2 * PATIENCE, check=True)
    assert {path.name: ground(path) for path in tmp_path.iterdir()} == {
        f"job-page-{scheme}.png": colour for scheme, colour in GROUNDS.items()
    }


@pytest.mark.parametrize("scheme", GROUNDS)
def test_the_readme_shows_each_picture_and_they_are_small(scheme: str) -> None:
    path = IMAGES / f"job-page-{scheme}.png"
    assert f"docs/images/{path.name}" in (ROOT / "README.md").read_text()
    assert path.stat().st_size < 60_000
    assert ground(path) == GROUNDS[scheme]


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "spool" / "README.md"):
        text = document.read_text()
        links = re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", text)
        for link in filter(None, (first or second for first, second in links)):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
