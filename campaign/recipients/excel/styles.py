"""Read the number formats of a workbook's styles (ECMA-376-1 18.8)."""

from __future__ import annotations

from campaign.recipients.excel.parts import Parts

_LONGEST = 255  # characters of a format; no program writes a longer one
# ECMA-376-1 18.8.30: built-in formats, whose codes are not in the file. 14 and 22 show dates in the reader's
# own order, 5 to 8 and 41 to 44 use the reader's currency; the file does not say which.
_BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    5: "#,##0",
    6: "#,##0",
    7: "#,##0.00",
    8: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    14: "yyyy-mm-dd",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "yyyy-mm-dd h:mm",
    **dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd"),  # East Asian dates
    **dict.fromkeys((32, 33, 34, 35, 55, 56), "h:mm:ss"),
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    41: "#,##0",
    42: "#,##0",
    43: "#,##0.00",
    44: "#,##0.00",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    48: "##0.0E+0",
    49: "@",
}


def number_formats(parts: Parts, name: str | None) -> list[str]:
    """Return the number format of each style, by the style number in cells. Raises Unreadable."""
    codes = dict(_BUILT_IN)
    formats: list[int] = []
    within = ""
    for element, attributes in parts.elements(name) if name is not None else ():
        if element in ("numFmts", "cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            within = element
        elif element == "numFmt" and within == "numFmts":
            code = attributes.get("formatCode", "")
            codes[_number(attributes.get("numFmtId"))] = code if len(code) <= _LONGEST else ""
        elif element == "xf" and within == "cellXfs":
            formats.append(_number(attributes.get("numFmtId")))
    return [codes.get(number, "General") for number in formats]


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0
