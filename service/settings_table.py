"""The table of settings in ``docs/settings.md``: ``python -m service.settings_table`` writes it again."""

from __future__ import annotations

import sys

from pydantic_core import PydanticUndefined

from service.settings import Settings


def settings_table() -> str:
    """Every setting as Markdown: variable, default, description.

    >>> "| `OLAD_PORT` | `8000` | Port the API listens on. |" in settings_table()
    True
    """
    lines = [
        "# Settings",
        "",
        "Every process reads its settings from environment variables; a command-line option wins over its variable.",
        "This page is made by `make settings` out of `service/settings.py`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        assert field.default is not PydanticUndefined, "every setting has a default"
        description = (field.description or "").replace("|", r"\|")
        lines.append(f"| `OLAD_{name.upper()}` | {_shown(field.default)} | {description} |")
    return "\n".join(lines) + "\n"


def _shown(default: object) -> str:
    if default is None:
        return "unset"
    return f"`{','.join(default)}`" if isinstance(default, tuple) else f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
