"""Names of variants: workers on the same graph, each with a configuration of its own."""

from __future__ import annotations

DEFAULT_VARIANT = "default"
"""The variant of a graph that has no other: its keys and files name no variant."""
CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases: the variant that is served, and the only other one."""
VARIANT_NAME = r"^[A-Za-z0-9_-]{1,32}$"
"""Pattern of a variant's name."""


def own_name(name: str) -> str:
    """The name, where a variant may have it.

    Raises:
        ValueError: it is an alias.
    """
    if name in {CHAMPION, CHALLENGER}:
        raise ValueError(f"{name} stands for whichever variant is the {name}: give the variant a name of its own")
    return name


def file_stem(graph: str, variant: str) -> str:
    """Beginning of the names of a variant's files.

    >>> file_stem("default", "default"), file_stem("default", "wide")
    ('default', 'default@wide')
    """
    # No name of a graph has this sign.
    return graph if variant == DEFAULT_VARIANT else f"{graph}@{variant}"
