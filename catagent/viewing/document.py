"""A still page: one HTML file that fetches nothing and runs nothing, for reports of tables and pictures.

What comes from models and files goes through `shown`. Whatever else got in would find no script allowed, and
no style but the one that the page was written with, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html

from catagent.viewing.texts import visible

__all__ = ["document", "shown"]


def shown(text: object) -> str:
    """`text` as HTML: escaped, hidden characters as their numbers."""
    return html.escape(visible(str(text)))


def document(title: str, style: str, body: str, *, style_attributes: bool = False) -> str:
    """The whole page; `title` is any text, `style` CSS, `body` HTML.

    With `style_attributes` elements may carry styles of their own, as those of drawn plots do.
    """
    own = f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
    styles = (
        f"style-src-elem {own}; style-src-attr 'unsafe-inline'" if style_attributes else f"style-src {own}"
    )
    policy = f"default-src 'none'; {styles}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{shown(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<h1>{shown(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
