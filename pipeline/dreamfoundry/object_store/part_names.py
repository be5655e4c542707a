"""Names of the files that make up a table in a folder or under a prefix, chosen as Spark and Arrow choose them.

A name is relative to the folder, with "/" between its parts.
"""

from __future__ import annotations

import re

_UNFINISHED = re.compile(r"\.(tmp|temp|partial|inprogress)\.parquet$", re.IGNORECASE)
_MARKER = re.compile(r"_SUCCESS|_committed_.*|_started_.*|_metadata|_common_metadata|.*\.crc|\.DS_Store")


def is_part(name: str) -> bool:
    """True for a Parquet file of the table: finished, not hidden, and in no folder but those of partitions."""
    *folders, file = name.split("/")
    return (
        file.lower().endswith(".parquet")
        and not (is_hidden(file) or _UNFINISHED.search(file))
        and all(partition_key(folder) for folder in folders)
    )


def is_hidden(name: str) -> bool:
    """True for a name that says "do not read": it begins with a dot or an underscore."""
    return name.startswith((".", "_"))


def is_marker(name: str) -> bool:
    """True for what writers of tables leave beside the parts, which nobody needs to be told about."""
    return _MARKER.fullmatch(name.rpartition("/")[2]) is not None


def partition_key(folder: str) -> str:
    """`date` of a folder of partitions called `date=2026-11-28`; "" for any other folder."""
    key, equals, _ = folder.partition("=")
    return key if equals and not is_hidden(folder) else ""
