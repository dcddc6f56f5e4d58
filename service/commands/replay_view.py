"""The terminal output of a replay, while it runs and when it is done."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from service.commands.bar_view import BarView, arrivals_bar
from service.commands.class_view import class_table
from service.figures import lead_line, percent
from service.replay.sender import ReplayState
from service.replay.served_score import RECENT, Accuracy, Ranking
from service.store.status import ClassReportStatus
from service.terminal import shown, shown_report


class ReplayView(BarView):
    """A progress bar with the accuracy of what is served; plain lines where there is no terminal."""

    def __init__(self, console: Console, name: str, nodes: int | None) -> None:
        self._console = console
        self._name = name
        self._nodes = nodes
        self._next_line = 0
        super().__init__(arrivals_bar(console) if console.is_terminal else None, name, nodes)

    def update(self, state: ReplayState) -> None:
        """Show where the replay is."""
        now = f"served right {percent(state.whole.value)}, lately {percent(state.recent.value)}"
        now += f", {state.events_per_s:,.0f} events/s"
        if not self._moved(now, state.arrivals) and state.arrivals >= self._next_line:
            # Eleven lines for a source of known length.
            step = 1000 if self._nodes is None else max(1, self._nodes // 10)
            self._next_line = (state.arrivals // step + 1) * step
            total = "" if self._nodes is None else f"/{self._nodes}"
            self._console.print(f"{self._name}: {state.arrivals}{total} arrived, {now}", soft_wrap=True)


def print_summary(console: Console, name: str, state: ReplayState) -> None:
    """Prequential accuracy of what was served, and the replay's size and speed."""
    table = Table(title=f"{name}: prequential accuracy of what was served", title_justify="left")
    table.add_column("arrivals")
    table.add_column("accuracy", justify="right")
    table.add_column("macro-F1", justify="right")
    table.add_column("scored", justify="right")
    table.add_column("not served", justify="right")
    for label, accuracy, macro_f1 in (
        ("all", state.whole, state.macro_f1),
        (f"{state.score_from:,} onwards", state.later, state.macro_f1_later),
    ):
        table.add_row(label, *_cells(accuracy, percent(macro_f1)), f"{accuracy.unserved:,}")
    table.add_row(f"last {RECENT} scored", *_cells(state.recent, ""), "")
    console.print(table)
    console.print(
        f"{state.arrivals:,} nodes arrived; {state.events:,} events in {state.seconds:.1f} s "
        f"({state.events_per_s:,.0f} events/s); position {state.position or '-'}",
        soft_wrap=True,
    )
    if state.classes is not None:
        console.print(class_table(shown_report(ClassReportStatus(**asdict(state.classes)))))
    if state.ranking is not None and state.ranking.top:
        console.print(_ranking_line(state.ranking), soft_wrap=True, highlight=False)
    if state.shortfall is not None:
        console.print(state.shortfall, soft_wrap=True, highlight=False)
    if line := lead_line(state.lead):
        console.print(shown(line), soft_wrap=True, highlight=False)


def _ranking_line(found: Ranking) -> str:
    name, share = shown(repr(found.class_name)), percent(found.of_class / found.ranked)
    return (
        f"Of the 1 % likeliest to be {name} at arrival ({found.top:,} nodes), {found.found:,} are: precision "
        f"{percent(found.precision)}. Of all nodes, {share} are."
    )


def _cells(accuracy: Accuracy, macro_f1: str) -> tuple[str, str, str]:
    return percent(accuracy.value), macro_f1, f"{accuracy.scored:,}"
