import numpy as np
import pytest

from olad_core.learning.teaching import DECIDED, SHARPNESS, UNDECIDED, assumed_worth, decided, evidence_teaches

NAN = float("nan")


def test_all_others_teach_the_better_ones_more() -> None:
    found = evidence_teaches(np.array([0.7, 0.9, 0.8]), np.zeros(3), np.ones(3))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert not found.diagonal().any()
    assert found[0, 1] / found[0, 2] == pytest.approx(np.exp(SHARPNESS * 0.1), rel=1e-5)


def test_rows_sum_to_the_strength() -> None:
    found = evidence_teaches(np.array([0.7, 0.9, 0.8]), np.zeros(3), np.array([1.0, 0.0, 0.25]))
    np.testing.assert_allclose(found.sum(axis=1), [1, 0, 0.25], rtol=1e-6)


@pytest.mark.parametrize("quality", [[NAN] * 3, [0.4] * 3, [NAN, 0.4, NAN]])
def test_without_evidence_all_others_teach_alike(quality: list[float]) -> None:
    np.testing.assert_allclose(
        evidence_teaches(np.array(quality), np.zeros(3), np.ones(3)), (1 - np.eye(3)) / 2, rtol=1e-6
    )


def test_nobody_teaches_one_who_is_alone() -> None:
    assert evidence_teaches(np.array([0.5]), np.zeros(1), np.ones(1)).tolist() == [[0.0]]


def test_one_that_has_not_learned_its_own_labels_teaches_little() -> None:
    found = evidence_teaches(np.full(3, NAN), np.array([0.3, 2.3, 0.3]), np.ones(3))
    assert found[0, 1] / found[0, 2] == pytest.approx(np.exp(-2), rel=1e-5)


class TestAssumedWorth:
    nothing = np.full(1, NAN), np.zeros(1)

    def test_a_student_that_has_learned_nothing_is_not_taught(self) -> None:
        assert assumed_worth(np.log([5.0]), *self.nothing, 5).tolist() == [0]

    def test_one_that_knows_its_labels_is_taught_before_the_first_score(self) -> None:
        assert assumed_worth(np.array([0.05]), *self.nothing, 2).tolist() == [1]

    def test_many_scores_count_for_more_than_chance(self) -> None:
        """The loss on its own labels is that at arrival: it does not overfit, far from chance as it is."""
        found = [assumed_worth(np.array([0.1]), np.array([0.1]), np.array([weight]), 10)[0] for weight in (1, 50, 2000)]
        assert found[0] == 1
        assert found == sorted(found, reverse=True)
        assert found[-1] == 0


class TestDecided:
    assumed = np.array([0.0, 0.3, 1.0])

    @pytest.mark.parametrize("lead", [0.0, -UNDECIDED, UNDECIDED])
    def test_the_assumption_stands_while_twins_show_nothing(self, lead: float) -> None:
        assert decided(self.assumed, lead).tolist() == self.assumed.tolist()

    def test_a_clear_difference_decides_alone(self) -> None:
        assert decided(self.assumed, DECIDED).tolist() == [1, 1, 1]
        assert decided(self.assumed, -DECIDED).tolist() == [0, 0, 0]

    def test_between_both_the_strength_grows_with_the_lead(self) -> None:
        strengths = np.stack([decided(self.assumed, lead) for lead in np.linspace(-4, 4, 33)])
        assert (np.diff(strengths, axis=0) >= 0).all()
        assert ((strengths >= 0) & (strengths <= 1)).all()
