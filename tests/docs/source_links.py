"""A hook of mkdocs for links from a page to files outside docs/, such as ../crates/store/src/lib.rs.

On GitHub they lead to the file. The site has the pages alone: there the file's path stands in the link's place. A file
that does not exist fails the strict build, as any broken link does.
"""

import logging
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(#[^)]*)?\)")
LOG = logging.getLogger("mkdocs.hooks.source_links")


def on_page_markdown(markdown, page, **_):
    def replaced(link):
        text, path = link[1], link[2]
        if not (ROOT / path).exists():
            LOG.warning("%s links to %s, which does not exist", page.file.src_uri, path)
        name = text.strip("`")
        return f"`{path}`" if path.endswith(name) else f"{text} (`{path}`)"

    return LINK.sub(replaced, markdown)
