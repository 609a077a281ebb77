"""The template language: what it takes, what it refuses, and what becomes of lines that have nothing to say."""

import pytest

from ckanpackager.config.templates import PLACEHOLDERS, check, placeholders, render


@pytest.mark.parametrize(
    ("template", "faults"),
    [
        ("", []),
        ("Rows: {rows}, {{literally}} {{{size}}}", []),
        ("{zip_filename}", ["unknown placeholder {zip_filename}; did you mean {zip_file_name}?"]),
        ("{nothing_like_it}", ["unknown placeholder {nothing_like_it}"]),
        ("{rows", ["lone {; a brace that is no placeholder's is written twice: {{"]),
        ("rows}", ["lone }; a brace that is no placeholder's is written twice: }}"]),
        ("{}", ["{} is no placeholder; braces that are none are written twice: {{}}"]),
        (
            "p { color: red }",
            ["{ color: red } is no placeholder; braces that are none are written twice: {{ color: red }}"],
        ),
    ],
)
def test_check_names_each_fault(template: str, faults: list[str]) -> None:
    assert check(template, PLACEHOLDERS) == faults


@pytest.mark.parametrize("template", ["{rows.real}", "{rows[0]}", "{rows!r}", "{rows:>10}"])
def test_a_placeholder_is_a_name_and_nothing_else(template: str) -> None:
    (fault,) = check(template, PLACEHOLDERS)
    assert template in fault
    assert fault.endswith("write {rows}")


def test_all_faults_of_a_template_are_found() -> None:
    assert len(check("{a} {rows} {b}\n}", PLACEHOLDERS)) == 3


def test_placeholders_are_found_once_and_literal_braces_are_none() -> None:
    assert placeholders("{a} {b} {{c}} {a}") == {"a", "b"}


def test_values_are_filled_in_once_even_if_they_look_like_placeholders() -> None:
    assert render("{a}-{b} {{a}} {{{b}}}", {"a": "{b}", "b": "2"}) == "{b}-2 {a} {2}"


def test_html_escapes_values_but_those_that_are_html() -> None:
    values = {"error": '<b>"x" & y</b>', "doi_body_html": "<p>&amp;</p>"}
    assert render("{error}|{doi_body_html}", values, html=True) == (
        "&lt;b&gt;&quot;x&quot; &amp; y&lt;/b&gt;|<p>&amp;</p>"
    )


def test_text_is_not_escaped() -> None:
    assert render("{error}", {"error": "<&>"}) == "<&>"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello\nDOI: {empty}\nBye\n", "Hello\nBye\n"),
        ("Hello\n{empty} {full}\n", "Hello\n x\n"),
        ("Hello\n{empty} {blank}\n", "Hello\n"),
        ("Hello\n\n{empty}\n", "Hello\n"),
        ("Hello\n\n{empty}\n\n{empty}\n", "Hello\n"),
        ("Hello\n\n{empty}\n\nBye\n", "Hello\n\nBye\n"),
        ("{empty}\n\nHello\n", "Hello\n"),
        ("Hello\n\n\nBye\n\n", "Hello\n\n\nBye\n\n"),
        ("Hello\r\n\r\n{empty}\r\n\r\nBye", "Hello\r\n\r\nBye"),
        ("{{}}\n", "{}\n"),
        ("{empty}", ""),
    ],
)
def test_a_line_whose_placeholders_are_all_empty_is_left_out(template: str, text: str) -> None:
    assert render(template, {"empty": "", "blank": " ", "full": "x"}) == text
