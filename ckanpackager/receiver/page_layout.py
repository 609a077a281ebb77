"""What the pages for requesters look like: readable on a phone, light and dark, with the portal's name and logo."""

import base64
import hashlib
import html
from urllib.parse import urlsplit

from ckanpackager.config.settings import Portal


def html_page(title: str, body: str, portal: Portal, *, head: str = "", style: str = "") -> str:
    """A page with that title, head and body, which are HTML already; `style` stands behind the common one."""
    return _PAGE.format(
        title=title, head=head, style=_STYLE + style, header=_header(portal), body=body, footer=_footer(portal)
    )


def security_headers(portal: Portal, *, style: str = "", forms: bool = False) -> tuple[tuple[str, str], ...]:
    """Headers that let the page load nothing but its style and the portal's logo.

    Args:
        style: what the page has behind the common style.
        forms: whether the page has forms; they are sent to where it comes from.
    """
    logo = urlsplit(portal.portal_logo or "")
    images = f"img-src {logo.scheme}://{logo.netloc}; " if logo.netloc else ""
    policy = f"default-src 'none'; style-src 'sha256-{_sha256(_STYLE + style)}'; {images}"
    targets, referrer = ("'self'", "same-origin") if forms else ("'none'", "no-referrer")
    return (
        ("Content-Security-Policy", f"{policy}frame-ancestors 'none'; base-uri 'none'; form-action {targets}"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", referrer),  # with no-referrer, the origin of a form that is sent would be `null`
    )


def contact_link(portal: Portal) -> str:
    """The contact as HTML: an address becomes a link; an empty text if there is none."""
    contact = html.escape(portal.contact or "")
    return f'<a href="mailto:{contact}">{contact}</a>' if "@" in contact and " " not in contact else contact


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _header(portal: Portal) -> str:
    name = html.escape(portal.portal_name or "")
    logo = f'<img src="{html.escape(portal.portal_logo)}" alt="{"" if name else "Home"}">' if portal.portal_logo else ""
    if not (inner := " ".join(part for part in (logo, name) if part)):
        return ""
    return f"<header>{_linked(inner, portal)}</header>\n"


def _linked(inner: str, portal: Portal) -> str:
    return f'<a href="{html.escape(portal.portal_url)}">{inner}</a>' if portal.portal_url else inner


def _footer(portal: Portal) -> str:
    contact = contact_link(portal)
    return f"<footer>Questions? {contact}</footer>\n" if contact else ""


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d5dae0;
  --accent: #0a5fb4; --on-accent: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #14181d; --soft: #9aa4af; --line: #323a43; --accent: #6cb6ff; --on-accent: #0b1622 }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif }
header, main, footer { max-width: 38rem; margin: 0 auto; padding: 0 1.25rem }
header { padding-top: 1.5rem; font-weight: 600 }
header a { color: var(--ink); text-decoration: none }
header img { max-height: 3rem; max-width: 100%; vertical-align: middle; margin-right: .6rem }
main { margin: 7vh auto 3rem }
footer { color: var(--soft); font-size: .875rem; padding-bottom: 2rem }
h1 { font-size: 1.75rem; font-weight: 600; line-height: 1.2; margin: 0 0 1.25rem }
p { margin: 0 0 .9rem }
progress { width: 100%; height: .9rem; display: block; margin-top: .35rem; accent-color: var(--accent) }
a { color: var(--accent) }
.button { display: inline-block; padding: .55rem 1.25rem; margin-right: .75rem; border-radius: .4rem;
  background: var(--accent); color: var(--on-accent); text-decoration: none; font-weight: 600 }
a:focus-visible { outline: .2rem solid var(--ink); outline-offset: .15rem }
.reload, dl { color: var(--soft); font-size: .875rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 2.25rem 0 0;
  padding-top: 1.25rem; border-top: 1px solid var(--line) }
dt, dd { margin: 0 }
dd { color: var(--ink) }
main { overflow-wrap: anywhere }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } }
code { font: .9375em ui-monospace, monospace }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{head}<title>{title}</title>
<style>{style}</style>
</head>
<body>
{header}<main>
{body}
</main>
{footer}
</body>
</html>
"""
