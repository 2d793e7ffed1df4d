"""Turn pydantic's kinds of errors into messages for the user.

This module does not import pydantic: `identity` uses it too, for its few errors.
"""

from __future__ import annotations

from campaign.campaignfile.yamlmarks import Path as ValuePath

_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "tuple_type": "expected a list",
}
_SUCH_AS: dict[ValuePath, str] = {
    ("templates",): "text: body.txt.j2",
    ("unsubscribe",): "mailto: unsubscribe@example.com",
}


def words(path: ValuePath, kind: str, message: str, value: object, plain: str | None) -> str:
    """Return what was expected at `path`, and the value that is there.

    `kind` and `message` are pydantic's; `plain` is the value as it is written, if it has no quotes.
    """
    match kind:
        case "missing":
            return "is missing"
        case "string_too_short" | "too_short":
            return "is blank"
        case "string_too_long":
            return "is too long"
        case "value_error":
            expected = message
        case _ if path[-1:] == ("port",):
            expected = "expected a number from 1 to 65535"
        case "enum":
            expected = message.replace("Input should be ", "expected ").replace("'", "")
        case "greater_than_equal":
            expected = message.replace("Input should be greater than or equal to", "expected at least")
        case "less_than_equal":
            expected = message.replace("Input should be less than or equal to", "expected at most")
        case "model_type" if path in _SUCH_AS:
            expected = f"expected keys and values, such as `{_SUCH_AS[path]}`"
        case "model_type" if path in (("recipients",), ("smtp",)):
            expected = "expected the path of a file, or keys and values"
        case _:
            expected = _EXPECTED.get(kind, message)
    if not expected.startswith("expected ") or ", got " in expected:
        return expected
    return f"{expected}, got {_got(value, plain)}{_quotes(kind, value, plain)}"


def _got(value: object, plain: str | None) -> str:
    """Return the value in words, and how YAML reads it if that is surprising."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list() | tuple():
            return "a list"
        case str():
            return repr(value[:60])
        case bool():
            read = "true" if value else "false"
        case int() | float():
            read = f"{value}"
        case _:
            read = "a date"
    return read if plain is None or plain == read else f"{plain[:60]}, which YAML reads as {read}"


def _quotes(kind: str, value: object, plain: str | None) -> str:
    if kind == "string_type" and plain is not None and value is not None:
        return "; put it in quotes"
    if kind == "tuple_type" and isinstance(value, str) and value.strip():
        return f"; write [{value[:60]!r}]"
    if kind in ("int_type", "bool_type") and isinstance(value, str) and plain is None:
        numeric = value.strip().isdecimal() if kind == "int_type" else value.lower() in ("true", "false")
        return "; write it without quotes" if numeric else ""
    return ""
