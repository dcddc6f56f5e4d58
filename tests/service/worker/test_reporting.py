"""The worker's report of classes, out of a real engine."""

from dataclasses import replace

from olad_core.events import UpsertNode
from service.store.status import ClassReportStatus, WorkerStatus
from service.worker.metrics import WorkerMetrics
from tests.olad_core.runs import PAIR, Run, learned
from tests.service.engine_report import engine_report


def status_of(run: Run) -> WorkerStatus:
    return engine_report(run.engine)


def test_the_report_names_the_classes_of_every_student_and_of_what_was_served() -> None:
    run = learned(Run(PAIR))
    run.turn([UpsertNode(f"new-{n}", [2.0 * n - 7, 0.5, 0.0], ["even", "odd"][n % 2]) for n in range(8)], steps=1)
    status = status_of(run)
    served = status.served_report
    assert isinstance(served, ClassReportStatus)
    assert served.scored == status.served_score.scored > 0
    assert sum(row.support for row in served.classes) == served.scored
    assert served.confusion is not None
    assert sum(map(sum, served.confusion.counts)) == served.scored
    for student in status.students:
        assert student.report is not None
        assert student.report.scored == student.score.scored
        assert student.report.confusion is None


def test_the_report_lists_the_trees_and_the_linear_model_of_the_group() -> None:
    run = learned(Run(replace(PAIR, serve="group", arrivals_scored=100, linear=True)))
    while run.engine.versions.served is None or run.engine.versions.served.embedding.forest is None:
        run.turn([], steps=5)
    run.turn([UpsertNode(f"new-{n}", [2.0 * n - 7, 0.5, 0.0], ["even", "odd"][n % 2]) for n in range(4)], steps=0)
    status = status_of(run)
    combined = status.combined
    assert combined is not None
    assert combined.trees is not None
    assert combined.exponents.keys() == {"gcn", "sage", "trees", "linear"}
    assert combined.trees.served
    assert (combined.trees.labels, combined.trees.labels_seen) == (40, 44)
    assert combined.trees.trees > 0
    assert combined.trees.score.scored == 4
    assert combined.linear is not None
    assert combined.linear.served
    assert combined.linear.fits
    assert (combined.linear.labels, combined.linear.labels_seen) == (40, 44)
    assert combined.linear.score.scored == 4
    assert b'olad_worker_accuracy{student="linear"}' in WorkerMetrics().text(status)
    assert b'olad_worker_accuracy{student="trees"}' in WorkerMetrics().text(status)
