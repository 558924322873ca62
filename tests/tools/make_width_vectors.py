#!/usr/bin/env python3
"""Writes tests/vectors/widths.txt: texts as code points and their columns by Python's wcwidth.

  pip install wcwidth; tests/tools/make_width_vectors.py >tests/vectors/widths.txt

Left out, because the rule of ui/cell/width.c is another one on purpose: controls and formats (spelt
out), marks without a base (on a dotted circle), spacing marks and joined emoji (room for all of
their characters: tests/test_width.c compares those with the C library), lone vowels and finals
of Hangul, half a flag (one column, as the C library has it), and characters whose width Unicode
16 changed (hexagrams, trigrams, counting rods). Sequences are written out by hand; their width
is wcswidth's.
"""
import sys, unicodedata
import wcwidth

CHANGED = [(0x2630, 0x2637), (0x268A, 0x268F), (0x4DC0, 0x4DFF), (0x1D300, 0x1D376)]
OURS = [(0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0x1F1E6, 0x1F1FF)]
SEQUENCES = """
1F1E9 1F1EA|1F1E9 1F1EA 1F1EB 1F1F7|2764 FE0F|31 FE0F 20E3|23 FE0F 20E3
1F3F4 E0067 E0062 E0065 E006E E0067 E007F|65 301|6F 308 304|6F22 5B57|61 6F22 62|1112 1161 11AB
AC00 B098|D1 6E 303|E01 E34 E19|5D0 5B0|627 64B|31 2F 32|1F600 61|2764|231A|61 300 301 302 303
3042 3099|FF21 FF71
""".replace("\n", "|").strip("|").split("|")


def plain():
    """One in 23 of the letters, digits, signs and marks that are as old as this Python."""
    kept = 0
    for c in range(0x20, 0x110000):
        category = unicodedata.category(chr(c))
        if category[0] == "C" or category in ("Zl", "Zp", "Mc"):
            continue
        if any(a <= c <= b for a, b in CHANGED + OURS):
            continue
        kept += 1
        if kept % (397 if 0x3400 <= c < 0xD7A4 or c >= 0x20000 else 23) == 0:
            yield [0x61, c] if category[0] == "M" else [c]


for points in list(plain()) + [[int(p, 16) for p in s.split()] for s in SEQUENCES]:
    text = "".join(map(chr, points))
    print(wcwidth.wcswidth(text), *(f"{p:X}" for p in points))
print(f"made with wcwidth {wcwidth.__version__}", file=sys.stderr)
