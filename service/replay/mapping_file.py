"""A mapping in a file of YAML."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from service.replay.table_options import TableOptions, WrongMapping
from service.replay.tables.mapping import CsvFormat, RowMapping


class FileMapping(RowMapping):
    """What a mapping file holds."""

    csv: CsvFormat | None = Field(default=None, description="How CSV is written.")


def read_mapping(path: Path, options: TableOptions) -> FileMapping:
    """The mapping in a file.

    Args:
        path: of a file of YAML, and so of JSON too.
        options: the others, none of which may name a column too.

    Raises:
        WrongMapping: naming the line, or the field, and what is wrong with it.
    """
    import yaml  # noqa: PLC0415 (an extra)

    alone = TableOptions(mapping=options.mapping, delimiter=options.delimiter, encoding=options.encoding)
    if options != alone:
        raise WrongMapping("with --mapping the columns are named in the file: leave out --source, --id and the like")
    try:
        parts = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise WrongMapping(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        problem = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "")
        raise WrongMapping(f"{path}{place}: not YAML ({problem})") from None
    try:
        return FileMapping.model_validate(parts)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise WrongMapping(f"{path}{': ' + field if field else ''}: {first['msg']}") from None
