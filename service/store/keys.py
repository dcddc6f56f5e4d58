"""Every Redis key and channel, in one place.

The graph's name stands in braces, so that in a cluster all keys of a graph share one slot and one
server-side script can touch them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.variant_names import DEFAULT_VARIANT


@dataclass(frozen=True)
class Keys:
    """The keys of one graph. What a worker owns is under the keys of its variant.

    >>> Keys("default").log, Keys("default", "wide").log
    ('olad:{default}:log', 'olad:{default}:log')
    >>> Keys("default").served, Keys("default", "wide").served
    ('olad:{default}:served', 'olad:{default}:variant:wide:served')
    """

    graph: str
    variant: str = DEFAULT_VARIANT

    def _key(self, name: str) -> str:
        return f"olad:{{{self.graph}}}:{name}"

    def _own(self, name: str) -> str:
        return self._key(name if self.variant == DEFAULT_VARIANT else f"variant:{self.variant}:{name}")

    @property
    def all_own(self) -> str:
        """Pattern of all keys that a variant beside the default one has for itself."""
        return self._key(f"variant:{self.variant}:*")

    def of(self, variant: str) -> Keys:
        """The keys of another variant of the graph."""
        return Keys(self.graph, variant)

    @property
    def needed(self) -> str:
        """Hash: name of each variant to the position after which it needs the log."""
        return self._key("needed")

    @property
    def champion(self) -> str:
        """String: the variant that answers where a reader names none; without it, that is the default one."""
        return self._key("champion")

    @property
    def promotions(self) -> str:
        """List, bounded: changes of the champion (:class:`service.store.champion.Promotion`), the oldest first."""
        return self._key("promotions")

    @property
    def log(self) -> str:
        """Stream of entries.

        A batch has the fields ``events`` (MessagePack), ``n`` and ``at`` (milliseconds at which it came); others have
        ``schema`` (JSON), or ``clock`` (JSON) and ``at``. ``v`` is the entry's format; without it that is 1.
        """
        return self._key("log")

    @property
    def log_id(self) -> str:
        """String: random identity of the log, gone when the log is."""
        return self._key("log-id")

    @property
    def trimmed(self) -> str:
        """String: position up to which the log has been trimmed, always behind a checkpoint."""
        return self._key("trimmed")

    @property
    def skipped(self) -> str:
        """Hash: position of a log entry that cannot be applied, to the reason."""
        return self._own("skipped")

    @property
    def left_out(self) -> str:
        """Set: ranges of positions that the log was rebuilt without, ``first..last``."""
        return self._key("left-out")

    @property
    def rebuilding(self) -> str:
        """Stream: the log that ``olad rebuild`` makes, until it takes the log's place."""
        return self._key("rebuilding")

    @property
    def schema(self) -> str:
        """String: the schema as JSON, the held feature width included."""
        return self._key("schema")

    @property
    def classes(self) -> str:
        """Set: classes that were declared or that a label in the log names, whether or not it could be applied."""
        return self._key("classes")

    @property
    def appended(self) -> str:
        """Counter: events ever appended to the log."""
        return self._key("appended")

    @property
    def admitted(self) -> str:
        """Stream: what each batch may add to the graph, at its position, until the worker has reported that.

        ``own`` has nodes, edges, nodes with features, and their width; ``sums`` the same together with all before, of
        the width the largest.
        """
        return self._key("admitted")

    def idempotency(self, digest: str) -> str:
        """String with expiry: ``<position> <digest of the body>`` of a batch sent with an Idempotency-Key."""
        return self._key(f"idempotency:{digest}")

    def idempotency_order(self, client: str) -> str:
        """List with expiry: ``<digest> <position>`` of one client's Idempotency-Keys, the oldest first."""
        return self._key(f"idempotency-order:{client}")

    @property
    def rejected(self) -> str:
        """Stream, bounded: events that were accepted but could not be applied."""
        return self._own("rejected")

    @property
    def changes(self) -> str:
        """Stream, bounded: what has changed for readers (:mod:`service.store.changes`).

        ``event`` is a CloudEvent as JSON, ``previous`` the id of the change before it.
        """
        return self._own("changes")

    @property
    def webhooks(self) -> str:
        """Hash: digest of a webhook's address to the id in ``changes`` of the last change that it is done with."""
        return self._own("webhooks")

    @property
    def served(self) -> str:
        """Hash: what readers see.

        ``position``, ``applied`` (events up to there), ``rejected_to`` (position up to which rejections are written),
        ``answered`` (id of the last request that readers see answered);
        once a model is published also ``version``, ``student``, ``classes`` (JSON array), ``table`` and
        ``format`` (of its rows). ``written`` is the worker's start and the number of its transactions: it shows
        whether any is lost. ``rule`` (JSON) turns probabilities into labels; without, it is the likeliest class.
        Where changes are recorded, ``changed`` is the id of the last one, ``decided`` the last decision among them.
        """
        return self._own("served")

    def staged(self, rank: int) -> str:
        """Hash: rows that a rank of a partitioned worker hands to the next publication (``staged_rows``).

        ``at`` is the worker's start and the position, ``nodes`` (MessagePack) the ids of the rows, and of nodes that
        are removed, ``rows`` the bytes of the rows.
        """
        return self._own(f"staged:{rank}")

    def predictions(self, table: str) -> str:
        """Hash: node id to its row (:mod:`service.store.rows`); one a version and worker start."""
        return self._own(f"predictions:{table}")

    def marks(self, table: str) -> str:
        """String: a bitmap beside a prediction table; bit r is set where the answer for graph row r is marked."""
        return self._own(f"marks:{table}")

    @property
    def past_pages(self) -> str:
        """List: pages of :mod:`service.store.past_rows`, the oldest first: ``position number table JSON``."""
        return self._own("past-pages")

    @property
    def past_positions(self) -> str:
        """Stream: ``applied`` (events up to there) at each position that readers have seen, as far as pages reach."""
        return self._own("past-positions")

    def past_rows(self, page: int | str) -> str:
        """Hash: node to its rows before publications of a page have overwritten them."""
        return self._own(f"past-rows:{page}")

    def past_marks(self, page: int | str) -> str:
        """Hash: number of a block of marks to its bits before publications of a page have overwritten them."""
        return self._own(f"past-marks:{page}")

    @property
    def requests(self) -> str:
        """Stream, bounded: what readers want, until it is answered: nodes whose rows are marked, or a list.

        Fields are ``nodes`` (MessagePack), ``list`` or ``question`` (its name). An entry with ``whole`` is also
        answered with whole rows of its nodes, if it is not older than so many milliseconds.
        """
        return self._own("requests")

    def whole(self, table: str, request: str) -> str:
        """Hash with expiry: node id to its whole row, for one request; the empty id is always there."""
        return self._own(f"whole:{table}:{request}")

    def question(self, name: str) -> str:
        """String with expiry: a question to the worker (:mod:`service.store.questions`), while somebody waits."""
        return self._own(f"question:{name}")

    def reply(self, name: str) -> str:
        """String with expiry: the answer to a question."""
        return self._own(f"reply:{name}")

    @property
    def lists(self) -> str:
        """Hash, bounded: name of a list of nodes to the list (:mod:`service.store.node_lists`), as last asked for."""
        return self._own("lists")

    @property
    def answered(self) -> str:
        """Channel: id of the last request that is answered, after each publication that answers one."""
        return self._own("answered")

    @property
    def tables(self) -> str:
        """Set: names of the prediction tables that exist."""
        return self._own("tables")

    @property
    def starts(self) -> str:
        """Counter: worker starts; part of a table's name, and the token that keeps earlier ones from writing."""
        return self._own("starts")

    @property
    def owner(self) -> str:
        """String: the worker that owns the graph; gone once it has given it back."""
        return self._own("owner")

    @property
    def lease(self) -> str:
        """String with expiry: there while the owner renews it."""
        return self._own("lease")

    @property
    def watermark(self) -> str:
        """Channel: the position readers can see, after each publication."""
        return self._own("watermark")

    @property
    def heartbeat(self) -> str:
        """String with expiry: there while the worker lives."""
        return self._own("heartbeat")

    @property
    def worker(self) -> str:
        """Channel: a worker is subscribed to it as long as its process lives; nothing is sent."""
        return self._own("worker")

    @property
    def last_beat(self) -> str:
        """String: Unix time of the worker's last heartbeat; stays when the heartbeat is gone."""
        return self._own("last-beat")

    @property
    def probe(self) -> str:
        """String with expiry: written to find out whether Redis accepts writes."""
        return self._key("probe")

    @property
    def rate_counts(self) -> str:
        """Beginning of strings with expiry: requests of a key or an address within a window of time."""
        return self._key("rate")

    @property
    def status(self) -> str:
        """String: the worker's last status report, JSON."""
        return self._own("status")

    def samples(self, seconds: int) -> str:
        """Stream, bounded: ``sample`` (JSON), what the worker reported at this spacing in seconds."""
        return self._own(f"samples:{seconds}")

    @property
    def outcomes(self) -> str:
        """String: a ring of records (:mod:`service.store.outcomes`), how what was served has scored; bounded."""
        return self._own("outcomes")

    @property
    def outcomes_written(self) -> str:
        """Counter: records that were ever written into the ring."""
        return self._own("outcomes-written")

    @property
    def past_decisions(self) -> str:
        """Stream, bounded: ``number`` and ``decision`` (JSON) of what the worker has decided."""
        return self._own("decisions")

    @property
    def metrics(self) -> str:
        """String: the worker's metrics in Prometheus' text format."""
        return self._own("metrics")
