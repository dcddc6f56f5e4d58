from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import GraphSchema, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType
from olad_core.schema import SchemaConflict
from olad_core.serving.embedding import Embedding
from service.worker import checkpoint
from service.worker.checkpoint import (
    BrokenCheckpoint,
    OtherFormat,
    list_checkpoints,
    newest_checkpoint,
    oldest_position,
    read_checkpoint,
    write_checkpoint,
)
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, PAIR, Run, assert_readers_are_fresh, learned

TENSORS = {
    "weights": torch.tensor([[1.5, -2.0], [0.0, torch.inf]]),
    "rows": torch.arange(3),
    "text": torch.tensor([104, 105], dtype=torch.uint8),
    "flag": torch.tensor(True),
    "nothing": torch.zeros(0, 4),
}


def write(root: Path, position: str = "1-0", keep: int = 3) -> Path:
    return write_checkpoint(root, TENSORS, {"position": position, "deep": {"big": 2**127, "list": [1, None]}}, keep)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "new" / "root")
    found = read_checkpoint(path)
    assert found.path == path
    assert found.values == {"position": "1-0", "deep": {"big": 2**127, "list": [1, None]}}
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


def test_there_is_no_pickle_in_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert sorted(file.name for file in path.iterdir()) == ["manifest.json", "tensors.safetensors", "values.json"]
    json.loads((path / "values.json").read_text())


def test_the_newest_are_kept_in_the_order_of_writing(tmp_path: Path) -> None:
    written = [write(tmp_path, f"{number}-0", keep=2) for number in range(1, 13)]
    assert list_checkpoints(tmp_path) == written[-2:]
    assert oldest_position(tmp_path) == "11-0"
    newest, skipped = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.values["position"] == "12-0"
    assert skipped == []


def test_where_there_is_none_there_is_none(tmp_path: Path) -> None:
    assert list_checkpoints(tmp_path / "absent") == []
    assert newest_checkpoint(tmp_path) == (None, [])
    assert oldest_position(tmp_path) is None


@pytest.mark.parametrize("failing", ["save_file", "_digest", "_flush"])
def test_a_writer_that_dies_midway_leaves_the_old_and_its_rest_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    first = write(tmp_path, "1-0")

    def dies(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, failing, dies)
        with pytest.raises(OSError, match="no space left"):
            write(tmp_path, "2-0")
    assert list_checkpoints(tmp_path) == [first]
    assert list(tmp_path.iterdir()) == [first]
    second = write(tmp_path, "3-0")
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    first = write(tmp_path, "1-0")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        with pytest.raises(OSError, match=r"tensors\.safetensors"):
            write_checkpoint(tmp_path, {"large": torch.zeros(10_000)}, {"position": "2-0"}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert list_checkpoints(tmp_path) == [first]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["manifest.json", "tensors.safetensors", "values.json"])
def test_a_broken_one_is_refused_and_the_newest_whole_one_taken(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    paths = [write(tmp_path, f"{number}-0") for number in (1, 2, 3)]
    spoil(paths[2] / name)
    with pytest.raises(BrokenCheckpoint, match=str(paths[2])):
        read_checkpoint(paths[2])
    found, skipped = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.path == paths[1]
    assert [str(paths[2]) in str(problem) for problem in skipped] == [True]


def test_an_empty_directory_is_no_checkpoint(tmp_path: Path) -> None:
    path = write(tmp_path)
    shutil.rmtree(path)
    path.mkdir()
    found, skipped = newest_checkpoint(tmp_path)
    assert found is None
    assert len(skipped) == 1
    assert oldest_position(tmp_path) is None


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format": checkpoint.FORMAT, "sha256": {}}, "tensors.safetensors"),
        ({}, "format"),
        ([], "manifest"),
    ],
)
def test_a_manifest_that_does_not_vouch_for_the_content_is_refused(
    tmp_path: Path, manifest: object, message: str
) -> None:
    path = write(tmp_path)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BrokenCheckpoint, match=message):
        read_checkpoint(path)


def test_another_format_is_refused_and_no_older_one_taken_instead(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}-0") for number in (1, 2)]
    (paths[1] / "manifest.json").write_text(json.dumps({"format": checkpoint.FORMAT + 1}))
    with pytest.raises(OtherFormat, match=f"reads format {checkpoint.FORMAT}: use the release"):
        newest_checkpoint(tmp_path)


def test_the_oldest_position_is_that_of_the_oldest_readable_one(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}-0") for number in (1, 2, 3)]
    assert oldest_position(tmp_path) == "1-0"
    (paths[0] / "values.json").write_bytes(b"\xff{")
    assert oldest_position(tmp_path) == "2-0"
    (paths[1] / "values.json").unlink()
    assert oldest_position(tmp_path) == "3-0"


@pytest.mark.parametrize(
    ("edge_types", "number"),
    [
        ({}, 7),
        ({"paid": EdgeType()}, 8),
        ({"paid": EdgeType(ids=True)}, 9),
        ({"edge": EdgeType(ids=True)}, 9),
        ({"paid": EdgeType(feature_width=1)}, 9),
    ],
)
def test_the_format_is_the_earliest_that_has_what_the_graph_has(
    tmp_path: Path, edge_types: dict[str, EdgeType], number: int
) -> None:
    run = Run(PAIR)
    run.engine.declare("0-1", GraphSchema(edge_types=edge_types))
    path = write_checkpoint(tmp_path, *run.engine.state(), keep=1)
    assert json.loads((path / "manifest.json").read_text())["format"] == number
    again = restore(PAIR, read_checkpoint(path), DEVICE)
    assert again.graph.schema == run.engine.graph.schema


def test_format_4_is_read() -> None:
    """Some nodes of ``checkpoints/format-4`` have no features."""
    stored = Path(__file__).parent / "checkpoints" / "format-4"
    newest, skipped = newest_checkpoint(stored)
    assert newest is not None
    assert not skipped
    engine = restore(PAIR, newest, DEVICE)
    graph = engine.graph
    has = newest.tensors["graph/has_features"].numpy()
    assert 0 < has.sum() < graph.num_nodes
    dense = np.zeros_like(newest.tensors["graph/features"].numpy())
    dense[has] = newest.tensors["graph/features"].numpy()[has]
    np.testing.assert_array_equal(graph.features.dense(np.arange(len(dense))), dense)
    assert graph.features.dense(graph.rows(["rich", "bare"])).tolist() == [[1, 2, -3], [0, 0, 0]]
    with pytest.raises(SchemaConflict):
        graph.declare(GraphSchema(feature_width=4))
    run = Run(PAIR, engine)
    engine.republish()
    run.turn([UpsertNode("new", [1.0, 1.0, 1.0]), UpsertEdge("new", "rich"), RemoveNode("bare")])
    assert_readers_are_fresh(run)
    again = Engine.restore(PAIR, *engine.state(), DEVICE)
    assert graph.schema == again.graph.schema
    np.testing.assert_array_equal(graph.features.dense(np.arange(40)), again.graph.features.dense(np.arange(40)))


def test_format_5_is_read() -> None:
    """``checkpoints/format-5`` was written while the first layer of a version was being embedded."""
    newest, skipped = newest_checkpoint(Path(__file__).parent / "checkpoints" / "format-5")
    assert newest is not None
    assert not skipped
    run = Run(PAIR, restore(PAIR, newest, DEVICE))
    versions = run.engine.versions
    assert versions.served is not None
    assert versions.candidate is not None
    assert run.engine.marked == 0
    run.engine.republish()
    publication = run.publish()
    assert_readers_are_fresh(run)
    (update,) = (update for update in publication.updates if update.version == versions.served.version.number)
    assert update.origins is not None
    assert set(update.origins.applied_events.tolist()) == {run.engine.applied_events}
    candidate = versions.candidate
    run.turn([UpsertNode("new", [1.0, 1.0, 1.0]), UpsertEdge("new", "3")])
    while versions.served is not candidate:
        run.engine.embed()
    run.turn([UpsertEdge("3", "new", 2.0)])
    assert_readers_are_fresh(run)
    rows = np.flatnonzero(run.engine.graph.alive)
    whole = Embedding.alone(candidate.embedding.student, candidate.embedding.classes, DEVICE)
    while not whole.complete:
        whole.advance(run.engine.graph)
    found, expected = candidate.embedding.probabilities(rows), whole.probabilities(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_version_of_many_classes_of_an_earlier_release_is_embedded_again(tmp_path: Path) -> None:
    """Earlier releases kept answers instead of embeddings; what is served of the same weights is the same."""
    run = Run(BEST_OF_PAIR)
    run.engine.declare("0-1", GraphSchema(classes=tuple(f"c{number}" for number in range(70))))
    learned(run)
    served = run.engine.versions.served
    assert served is not None
    tensors, values = run.engine.state()
    answers = torch.zeros(len(tensors["graph/label"]), 71)
    earlier = {name: tensor for name, tensor in tensors.items() if not name.endswith("/embedding")}
    earlier |= {"versions/served/layer/2": answers, "versions/served/place": torch.tensor([4, 0])}
    assert len(earlier) == len(tensors)
    write_checkpoint(tmp_path, earlier, values, 3)
    newest, _ = newest_checkpoint(tmp_path)
    assert newest is not None
    again = Run(BEST_OF_PAIR, restore(BEST_OF_PAIR, newest, DEVICE))
    versions = again.engine.versions
    assert versions.served is None
    candidate = versions.candidate
    assert candidate is not None
    assert candidate.version == served.version
    while versions.served is None:
        again.engine.embed()
    rows = np.flatnonzero(again.engine.graph.alive)
    found, expected = candidate.embedding.probabilities(rows), served.embedding.probabilities(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    again.publish()
    tensors_again = again.engine.state()[0]
    assert tensors_again["versions/served/embedding"].shape == (len(answers), BEST_OF_PAIR.trainer.width)
