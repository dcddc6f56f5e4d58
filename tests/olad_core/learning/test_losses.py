"""The losses between students and discriminators of docs/method.md, against values worked out by hand."""

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.learning.discriminators import Discriminators, seen
from olad_core.learning.losses import discriminator_losses, local_losses
from tests.olad_core.blocks import block_of, random_adjacency, row_mean

LN3 = log(3)
"""A score of ln 3 is the probability 3/4."""


class TestAdversary:
    def test_discriminators_pay_for_both_mistakes(self) -> None:
        # BCE(s, 1) = ln(1 + e^-s), BCE(s, 0) = ln(1 + e^s).
        real = torch.tensor([[0.0, LN3], [LN3, LN3]])
        # Row i holds the scores of h_i by its successor's discriminator: row 1 is what discriminator 0 is asked.
        fake = torch.tensor([[-LN3, LN3], [0.0, 0.0]])
        first = (log(2) + log(4 / 3)) / 2 + log(2)
        second = log(4 / 3) + (log(4 / 3) + log(4)) / 2
        torch.testing.assert_close(discriminator_losses(real, fake), torch.tensor([first, second]))

    def test_a_student_pays_for_being_told_by_its_successors_discriminator(self) -> None:
        fake = torch.tensor([[LN3, LN3], [-LN3, 0.0], [0.0, 0.0]])
        expected = [log(4 / 3), (log(4) + log(2)) / 2, log(2)]
        torch.testing.assert_close(local_losses(fake), torch.tensor(expected))

    def test_scores_of_any_size_are_finite(self) -> None:
        extreme = torch.tensor([[1e5, -1e5], [-1e5, 1e5]])
        assert discriminator_losses(extreme, extreme).isfinite().all()
        torch.testing.assert_close(local_losses(extreme), torch.full((2,), 5e4))


GROUP, NODES, WIDTH, HIDDEN = 3, 6, 4, 16


def reached(stacked: Tensor) -> list[int]:
    """Members of a stack that a gradient has reached."""
    assert stacked.grad is not None
    return stacked.grad.flatten(1).any(dim=1).nonzero()[:, 0].tolist()


@pytest.fixture
def discriminators() -> Discriminators:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Discriminators(GROUP, WIDTH, HIDDEN)


@pytest.fixture
def embeddings() -> Tensor:
    return torch.randn(GROUP, NODES, WIDTH, generator=torch.Generator().manual_seed(1))


class TestDiscriminators:
    adjacency = random_adjacency(NODES, seed=7)

    def test_are_small_graph_networks_over_unit_embeddings(
        self, discriminators: Discriminators, embeddings: Tensor
    ) -> None:
        with torch.no_grad():
            discriminators.bias.uniform_(-1, 1)
            discriminators.prior.uniform_(-1, 1)
        inputs = seen(embeddings, block_of(row_mean(self.adjacency)))
        for next_in_cycle in (False, True):
            scores = discriminators(inputs, next_in_cycle)
            assert scores.shape == (GROUP, NODES)
            for i in range(GROUP):
                judge = (i + next_in_cycle) % GROUP
                unit = F.normalize(embeddings[i], dim=1)
                mean = row_mean(self.adjacency) @ unit
                mapped = unit @ discriminators.own[judge] + mean @ discriminators.neighbour[judge]
                hidden = torch.relu(mapped + discriminators.bias[judge])
                expected = (hidden @ discriminators.score[judge])[:, 0] + discriminators.prior[judge]
                torch.testing.assert_close(scores[i], expected)

    def test_cannot_tell_students_by_scale(self, embeddings: Tensor) -> None:
        block = block_of(self.adjacency)
        torch.testing.assert_close(seen(100 * embeddings, block), seen(embeddings, block))

    def test_see_nothing_in_an_embedding_of_zeros(self, embeddings: Tensor) -> None:
        zero = embeddings.clone()
        zero[1] = 0
        inputs = seen(zero.requires_grad_(), block_of(self.adjacency))
        assert not inputs[1].any()
        inputs.sum().backward()  # type: ignore[no-untyped-call]
        assert zero.grad is not None
        assert zero.grad.isfinite().all()

    def test_may_say_fake_with_confidence(self, discriminators: Discriminators, embeddings: Tensor) -> None:
        scores = discriminators(seen(embeddings, block_of(self.adjacency)), next_in_cycle=False)
        assert (scores < 0).any()
        assert (scores > 0).any()

    @pytest.mark.parametrize("student", range(GROUP))
    def test_a_local_loss_reaches_its_own_student_through_its_successors_discriminator(
        self, discriminators: Discriminators, embeddings: Tensor, student: int
    ) -> None:
        embeddings.requires_grad_()
        fake = discriminators(seen(embeddings, block_of(self.adjacency)), next_in_cycle=True)
        local_losses(fake)[student].backward()  # type: ignore[no-untyped-call]
        assert reached(embeddings) == [student]
        assert reached(discriminators.own) == [(student + 1) % GROUP]

    @pytest.mark.parametrize("judge", range(GROUP))
    def test_discriminator_i_is_asked_about_student_i_and_student_i_minus_1(
        self, discriminators: Discriminators, embeddings: Tensor, judge: int
    ) -> None:
        real, fake = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
        told_real, told_fake = (seen(each, block_of(self.adjacency)) for each in (real, fake))
        losses = discriminator_losses(discriminators(told_real, False), discriminators(told_fake, True))
        losses[judge].backward()  # type: ignore[no-untyped-call]
        assert (reached(real), reached(fake)) == ([judge], [(judge - 1) % GROUP])
        assert reached(discriminators.own) == [judge]

    def test_learn_to_distinguish_neighbouring_students(
        self, discriminators: Discriminators, embeddings: Tensor
    ) -> None:
        apart = seen(embeddings + 3 * torch.eye(GROUP, WIDTH)[:, None, :], block_of(self.adjacency))
        optimizer = torch.optim.Adam(discriminators.parameters(), lr=0.05)
        for _ in range(100):
            losses = discriminator_losses(discriminators(apart, False), discriminators(apart, True))
            optimizer.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        # Guessing costs 2 ln 2.
        assert (losses < 0.2).all()

    def test_sigmoid_scores_are_probabilities_of_real(self) -> None:
        score = torch.tensor([[2.0]])
        assert local_losses(score).item() == pytest.approx(-log(1 / (1 + exp(-2.0))))
