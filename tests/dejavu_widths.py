"""Writes the package's table of text widths: `python tests/dejavu_widths.py`.

It reads DejaVu Sans as matplotlib ships it. `test_figure.py` compares the table with the font.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

#: Blocks of code points: what names, payloads and our own words are mostly made of.
BLOCKS = (
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x370, 0x3FF),
    (0x400, 0x45F),
    (0x2010, 0x203A),
    (0x20AC, 0x20AC),
    (0x2190, 0x21FF),
    (0x2260, 0x2265),
    (0x2713, 0x2718),
    (0xFFFD, 0xFFFD),
)
FONTS = (("REGULAR", "DejaVuSans.ttf"), ("BOLD", "DejaVuSans-Bold.ttf"))
TABLE = Path(__file__).parents[1] / "pylm_lab" / "draw" / "dejavu.py"

HEAD = '''"""Advance widths of DejaVu Sans, written by `python tests/dejavu_widths.py`.

First code point of a block: the advances of its characters, `-` where the font has none, in
`UNITS` an em.
"""

__all__ = ["BOLD", "REGULAR", "UNITS"]

UNITS = 2048
'''


def table() -> str:
    """The text of `dejavu.py`."""
    out = [HEAD]
    for name, file in FONTS:
        font = TTFont(Path(mpl.get_data_path(), "fonts", "ttf", file))
        assert font["head"].unitsPerEm == 2048
        glyphs, widths = font.getBestCmap(), font["hmtx"]
        out.append(f"{name} = {{")
        for first, last in BLOCKS:
            row = [
                str(widths[glyphs[c]][0]) if c in glyphs else "-" for c in range(first, last + 1)
            ]
            lines = [" ".join(row[n : n + 16]) for n in range(0, len(row), 16)]
            if len(lines) == 1:
                out.append(f'    0x{first:X}: "{lines[0]}",')
                continue
            out.append(f"    0x{first:X}: (")
            out += [f'        "{line} "' for line in lines[:-1]]
            out += [f'        "{lines[-1]}"', "    ),"]
        out += ["}", ""]
    return "\n".join(out)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8", newline="\n")
