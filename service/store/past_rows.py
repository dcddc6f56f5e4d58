"""What was served at earlier positions: rows as they were before they were overwritten, within a bound.

A *page* is a time in which readers saw one table, one version and one rule. It keeps what publications have overwritten
in the table meanwhile. A table that is replaced stays as long as a page is of it. So the row of a position is the one
that was overwritten first after it, or else the one in the table. Beyond the bound the oldest page goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from olad_core.serving.publication import Publication, TableUpdate
from olad_core.tasks.label_rule import LabelRule
from service.store.keys import Keys
from service.store.positions import START, PositionPair, parse_position, position_text
from service.store.prediction_reader import Model, Moment, model_of
from service.store.rows import format_of, origin
from service.store.scripts import script
from service.store.transaction import Transaction

PAGES_KEPT = 1_000
WRITES_PER_PAGE = 500
"""Publications that one page keeps at most: what is kept of a node is copied with each of them."""
_ROWS_PER_BLOCK = 4
"""Rows that take as much memory as a block of marks."""
_PAGES_OF_THE_BOUND = 8
"""A page ends with this part of all rows, so that little goes at once."""


class _Shown(msgspec.Struct, frozen=True):
    """What readers need beside a row."""

    version: int
    student: str
    classes: tuple[str, ...]
    rule: LabelRule


@dataclass(frozen=True)
class _Page:
    """One page, as it stands in the list of pages.

    Attributes:
        first: position from which on readers saw it.
        number: of the page.
        table: that readers saw.
        shown: what they need beside a row.
        rows: in the page, and of its table where that was replaced.
        writes: publications that it has kept something of, as far as is known.
    """

    first: str
    number: int
    table: str
    shown: _Shown
    rows: int = field(default=0, compare=False)
    writes: int = field(default=0, compare=False)

    def text(self) -> bytes:
        return f"{self.first} {self.number} {self.table} ".encode() + msgspec.json.encode(self.shown)


def _parse_page(text: bytes) -> _Page:
    first, number, table, shown = text.split(b" ", 3)
    return _Page(first.decode(), int(number), table.decode(), msgspec.json.decode(shown, type=_Shown))


class PastRows:
    """The worker's side: it adds to the transactions that publish.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        most_rows: rows that are kept; 0 keeps nothing.
    """

    def __init__(self, redis: Redis, keys: Keys, most_rows: int) -> None:
        self._redis = redis
        self._keys = keys
        self._most_rows = most_rows
        self._pages: list[_Page] | None = None
        self._position = START

    def forget(self) -> None:
        """Read the pages again before they are used: another worker may have written, or an answer was lost."""
        self._pages = None

    def keep(self, pending: Transaction, table: str, update: TableUpdate, position: str) -> None:
        """Keep what an update of the table that readers see overwrites."""
        pages = self._read()
        if not self._most_rows or not pages or pages[-1].table != table:
            return
        nodes = (*update.nodes, *update.removed)
        blocks = update.marked.first.tolist() if update.marked is not None else []
        if not nodes and not blocks:
            return
        page, keys = pages[-1], self._keys
        names = [keys.predictions(table), keys.marks(table), keys.past_rows(page.number), keys.past_marks(page.number)]
        at = parse_position(position)
        pending.add("EVAL", script("keep_past"), len(names), *names, *at, len(nodes), *nodes, *blocks)
        rows = page.rows + len(nodes) + _ROWS_PER_BLOCK * len(blocks)
        pages[-1] = replace(page, rows=rows, writes=page.writes + 1)

    def follow(self, pending: Transaction, publication: Publication, table: str | None) -> None:
        """Begin a page where readers see something else from now on, and let the oldest ones go beyond the bound.

        Args:
            pending: the transaction.
            publication: what becomes visible.
            table: that readers see then; None before the first.
        """
        pages = self._read()
        if self._most_rows and table is not None:
            self._note_position(pending, publication)
            self._begin_page(pending, pages, publication, table)
        self._let_go(pending, pages, table)

    def unneeded(self, replaced: Iterable[str]) -> set[str]:
        """Those of the tables that readers do not see any more of which no page is kept."""
        return {*replaced} - {page.table for page in self._read()}

    def _note_position(self, pending: Transaction, publication: Publication) -> None:
        if parse_position(publication.position) > parse_position(self._position):
            pending.add("XADD", self._keys.past_positions, publication.position, "applied", publication.applied_events)
            self._position = publication.position

    def _begin_page(self, pending: Transaction, pages: list[_Page], publication: Publication, table: str) -> None:
        last = pages[-1] if pages else None
        served = publication.served
        if served is not None:
            shown = _Shown(served.shown, served.student, served.classes, publication.rule)
        elif last is not None:
            shown = msgspec.structs.replace(last.shown, rule=publication.rule)
        else:
            return
        full = last is not None and last.table == table and self._is_full(last)
        if last is not None and (last.table, last.shown) == (table, shown) and not full:
            return
        if last is not None and last.table != table:
            # Readers see it no more, but its rows are kept.
            rows = self._redis.hlen(self._keys.predictions(last.table))
            pages[-1] = last = replace(last, rows=last.rows + rows)
        page = _Page(publication.position, last.number + 1 if last is not None else 1, table, shown)
        pending.add("RPUSH", self._keys.past_pages, page.text())
        pages.append(page)

    def _let_go(self, pending: Transaction, pages: list[_Page], table: str | None) -> None:
        """Let the oldest pages go, and their tables with the last page of each."""
        total = sum(page.rows for page in pages)
        gone = 0
        while pages and (not self._most_rows or (len(pages) > 1 and self._are_too_many(pages, total))):
            page = pages.pop(0)
            total -= page.rows
            gone += 1
            names = [self._keys.past_rows(page.number), self._keys.past_marks(page.number)]
            if page.table != table and all(other.table != page.table for other in pages):
                names += [self._keys.predictions(page.table), self._keys.marks(page.table)]
            pending.add("UNLINK", *names)
        if gone:
            pending.add("LTRIM", self._keys.past_pages, gone, -1)
            if pages:
                pending.add("XTRIM", self._keys.past_positions, "MINID", pages[0].first)
            else:
                pending.add("UNLINK", self._keys.past_positions)

    def _is_full(self, page: _Page) -> bool:
        return page.writes >= WRITES_PER_PAGE or page.rows > self._most_rows // _PAGES_OF_THE_BOUND

    def _are_too_many(self, pages: Sequence[_Page], rows: int) -> bool:
        return rows > self._most_rows or len(pages) > PAGES_KEPT

    def _read(self) -> list[_Page]:
        if self._pages is None:
            keys = self._keys
            found = cast("list[bytes]", self._redis.lrange(keys.past_pages, 0, -1))
            pages = [_parse_page(text) for text in found]
            # The rows of a table that was replaced count with the last page of it.
            replaced = {page.table: place for place, page in enumerate(pages) if page.table != pages[-1].table}
            with self._redis.pipeline(transaction=False) as pipe:
                for page in pages:
                    pipe.hlen(keys.past_rows(page.number))
                for table in replaced:
                    pipe.hlen(keys.predictions(table))
                pipe.xrevrange(keys.past_positions, count=1)
                *sizes, last = pipe.execute()
            for place, size in zip((*range(len(pages)), *replaced.values()), sizes, strict=True):
                pages[place] = replace(pages[place], rows=pages[place].rows + size)
            self._position = last[0][0].decode() if last else START
            self._pages = pages
        return self._pages


def drop_past(redis: Redis, keys: Keys) -> None:
    """Delete all that is kept, for a graph whose positions begin again."""
    pages = [_parse_page(text) for text in cast("list[bytes]", redis.lrange(keys.past_pages, 0, -1))]
    names = [keys.past_pages, keys.past_positions]
    for page in pages:
        names += [keys.past_rows(page.number), keys.past_marks(page.number)]
        names += [keys.predictions(page.table), keys.marks(page.table)]
    redis.unlink(*names)


@dataclass(frozen=True)
class PastRow:
    """What was served of a node at a position.

    Attributes:
        row: the row; None where the node was not in the graph.
        model: that made it.
        moment: at which it was exact.
        marked: whether it was of an earlier position than readers saw.
    """

    row: bytes | None
    model: Model
    moment: Moment
    marked: bool


@dataclass(frozen=True)
class NotKept:
    """There is no answer of that position.

    Attributes:
        oldest: position from which on answers are kept; None where none are.
        visible: position that readers see, where the one asked for is later.
    """

    oldest: str | None = None
    visible: str | None = None


class PastReader:
    """The API's side.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._keys = keys
        self._read = redis.register_script(script("read_past"))

    async def read(self, node: str, at: PositionPair) -> PastRow | NotKept:
        """What was served of a node at a position."""
        keys = self._keys
        names = [keys.served, keys.appended, keys.past_pages, keys.past_positions]
        begins = [keys.predictions(""), keys.marks(""), keys.past_rows(""), keys.past_marks("")]
        kind, *found = cast("Sequence[Any]", await self._read(keys=names, args=[*begins, *at, node]))
        if kind == b"off":
            return NotKept()
        if kind == b"gone":
            return NotKept(oldest=found[0].decode())
        if kind == b"later":
            return NotKept(visible=found[0].decode())
        page_text, row, marked, position, applied, appended = found
        shown = _parse_page(page_text).shown
        model = model_of(shown.version, shown.student, shown.classes, format_of(len(shown.classes)), shown.rule)
        exact, events = position.decode(), int(applied)
        if row and marked:
            at_position, events = origin(row)
            exact = position_text(at_position)
        return PastRow(row or None, model, Moment(exact, max(0, int(appended) - events)), bool(marked))
