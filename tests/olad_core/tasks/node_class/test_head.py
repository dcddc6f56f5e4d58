"""The head of a student: how it begins, and how it grows with the classes."""

from __future__ import annotations

import pytest
import torch

from olad_core.tasks import node_class


@pytest.mark.parametrize("capacity", [8, 16])
def test_each_class_reads_its_own_column_after_growth_as_at_first(capacity: int) -> None:
    head = node_class.new_head(20, 8)
    learned = head.weight.detach().clone()
    replaced = node_class.grow_head(head, capacity)
    assert [new for _, new in replaced] == [head.weight, head.bias]
    assert head.out_features == len(head.weight) == len(head.bias) == node_class.head_width(capacity)
    torch.testing.assert_close(head.weight[: len(learned)], learned)
    added = head.weight[node_class.CLASSES][8:]
    assert torch.equal(added, torch.eye(20)[8:capacity])


def test_heads_side_by_side_give_the_class_logits_of_each() -> None:
    heads = [node_class.new_head(4, 3) for _ in range(3)]
    embeddings = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2))
    found = node_class.logits_side_by_side(heads, embeddings)
    expected = [head(rows)[:, node_class.CLASSES] for head, rows in zip(heads, embeddings, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))
