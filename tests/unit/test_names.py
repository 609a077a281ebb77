"""Names are harmless, short, and each used once."""

import pytest

from ckanpackager import names


@pytest.mark.parametrize(
    ("taken", "name"),
    [((), "a.csv"), (("a.csv",), "a_2.csv"), (("a.csv", "a_2.csv", "a_4.csv"), "a_3.csv")],
    ids=str,
)
def test_a_name_that_is_taken_gets_the_next_number(taken, name):
    assert names.unused("a", ".csv", taken=taken.__contains__) == name


@pytest.mark.parametrize(
    ("text", "slug"),
    [("Birds of Paradise!", "birds-of-paradise"), ("éé", "data"), ("a_b.C-1", "a_b.c-1"), ("", "data")],
)
def test_a_slug_has_small_letters_digits_and_marks_alone(text, slug):
    assert names.slug(text) == slug


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\birds.csv", "birds.csv"),
        ("con.txt", "_con.txt"),
        ('a<b>:"c|?*.csv', "a_b___c___.csv"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        (" . ", ""),
    ],
)
def test_a_files_name_is_harmless(path, name):
    assert names.file_name(path) == name
