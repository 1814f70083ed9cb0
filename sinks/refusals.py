"""Whose fault it is that rows were not inserted: that of the data, which trying again does not mend, or not.

An outage taken for bad data would divert good rows; bad data taken for an outage only waits, loudly. So what is not
listed here is an outage, and what is listed is believed only beside rows that were taken (``sinks.isolation``).
"""

from __future__ import annotations

import struct
from typing import Final

from clickhouse_connect.driver.exceptions import DataError, Error

DATA_ERRORS: Final[dict[int, str]] = {
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    130: "CANNOT_READ_ARRAY_FROM_TEXT",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    248: "INVALID_PARTITION_VALUE",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    441: "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    563: "CANNOT_READ_MAP_FROM_TEXT",
    632: "UNEXPECTED_DATA_AFTER_PARSED_VALUE",
    675: "CANNOT_PARSE_IPV4",
    676: "CANNOT_PARSE_IPV6",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    760: "UNICODE_ERROR",
}
"""ClickHouse's errors that speak of values. Not among them: those of a body that ends too soon (32, 33), which a cut
connection gives, too, and those that speak of columns and types, which are the same for every row."""

_OF_VALUES: Final = (ValueError, TypeError, ArithmeticError, struct.error)
"""What the client raises for a value that it can't write into its column."""


def of_the_data(error: Exception) -> bool:
    """Whether an insert's error speaks of the values in the rows."""
    if isinstance(error, Error):
        return error.code in DATA_ERRORS if error.code is not None else isinstance(error, DataError)
    return isinstance(error, _OF_VALUES)


def told(error: Exception) -> str:
    """An error in one line. Of one of the data nothing but its name: ClickHouse repeats values, which are personal."""
    if not of_the_data(error):
        # What the client says of a connection repeats the whole request; its cause says what happened.
        cause = error.__cause__ if isinstance(error, Error) and error.code is None else None
        shown = getattr(cause, "reason", None) or cause or error
        return (str(shown).strip() or type(shown).__name__).splitlines()[0]
    if isinstance(error, Error) and error.code is not None:
        return f"{DATA_ERRORS[error.code]} (code {error.code})"
    return "a value does not fit into its column"
