"""The page around the HTML of a mail: readable on a phone, light and dark.  Pure."""

_STYLE = """\
:root { color-scheme: light dark }
body { margin: 0; padding: 1.25rem; background: #fff; color: #1b1f24; font: 1rem/1.5 system-ui, sans-serif }
.mail { max-width: 36rem; margin: 0 auto; overflow-wrap: anywhere }
h1 { font-size: 1.3rem; line-height: 1.25; margin: .25rem 0 1rem }
a { color: #0a5fb4 }
.button { display: inline-block; padding: .6rem 1.4rem; border-radius: .4rem; background: #0a5fb4; color: #fff;
  font-weight: 600; text-decoration: none }
table { width: 100%; border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem 0; border-top: 1px solid #d5dae0 }
th { width: 8.5rem; padding-right: 1rem; font-weight: 400; color: #57606a }
code { font: .875em ui-monospace, monospace; word-break: break-all }
.small { font-size: .875rem; color: #57606a }
@media (max-width: 30rem) { th, td { display: block; width: auto } th { padding-bottom: 0 }
  td { border-top: 0; padding-top: 0 } }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #e6edf3 } a { color: #6cb6ff }
  .button { background: #6cb6ff; color: #0b1622 } th, td { border-color: #323a43 } th, .small { color: #9aa4af } }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
{style}</style>
</head>
<body>
<div class="mail">
{body}
</div>
</body>
</html>
"""


def html_page(body: str) -> str:
    """The body as a page; a template that is a whole page already stays as it is."""
    return body if "<html" in body.lower() else _PAGE.format(style=_STYLE, body=body.strip())
