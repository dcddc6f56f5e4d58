import pytest
import torch

from olad_core.learning.dropout import Dropout

CPU = torch.device("cpu")


def test_drops_single_entries_and_scales_up_the_others() -> None:
    dropped = Dropout(0.5, 0.0, 0.0, 0, CPU).entries(torch.full((100, 50), 2.0))
    assert set(dropped.flatten().tolist()) == {0.0, 4.0}
    assert dropped.mean().item() == pytest.approx(2.0, rel=0.1)
    assert (dropped == 0).any(dim=0).all()


def test_drops_features_for_all_nodes_at_once() -> None:
    factor = Dropout(0.0, 0.25, 0.0, 0, CPU).columns(400)
    assert factor is not None
    assert factor.shape == (400,)
    assert set((3 * factor).tolist()) == {0.0, 4.0}
    assert (factor == 0).float().mean().item() == pytest.approx(0.25, abs=0.1)


def test_a_share_of_zero_changes_nothing() -> None:
    rows = torch.randn(4, 3)
    dropout = Dropout(0.0, 0.0, 0.0, 0, CPU)
    assert torch.equal(dropout.entries(rows), rows)
    assert dropout.columns(3) is None
    assert dropout.labels(torch.tensor([2, -1])).tolist() == [2, -1]


def test_goes_on_from_its_state() -> None:
    one, other = Dropout(0.5, 0.5, 0.5, 0, CPU), Dropout(0.5, 0.5, 0.5, 9, CPU)
    one.entries(torch.ones(3, 3))
    other.restore(one.state())
    assert torch.equal(one.entries(torch.ones(9, 9)), other.entries(torch.ones(9, 9)))
    found, expected = one.columns(50), other.columns(50)
    assert found is not None
    assert expected is not None
    assert torch.equal(found, expected)


def test_hides_a_share_of_the_labels() -> None:
    label = torch.arange(1000) % 5 - 1
    hidden = Dropout(0.0, 0.0, 0.25, 0, CPU).labels(label)
    kept = hidden == label
    assert (hidden[~kept] == -1).all()
    assert kept[label >= 0].float().mean().item() == pytest.approx(0.75, abs=0.05)
