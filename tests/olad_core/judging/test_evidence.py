import numpy as np
import numpy.typing as npt

from olad_core.judging.evidence import PRIOR, Evidence
from tests.olad_core.judging.predictions import saying

MEMORY = 200.0


class TestQuality:
    def test_is_not_known_before_anything_was_heard_or_scored(self) -> None:
        assert np.isnan(Evidence(2, MEMORY).quality(np.full(2, np.nan), np.zeros(2))).all()

    def test_is_the_agreement_with_the_group_where_nothing_is_scored(self) -> None:
        evidence = Evidence(3, MEMORY)
        evidence.observe(saying([[0, 0, 1]] * 6 + [[1, 2, 2]] * 2))
        quality = evidence.quality(np.full(3, np.nan), np.zeros(3))
        assert quality[1] == 1.0
        assert quality[1] > quality[0] > quality[2]

    def test_a_student_without_an_answer_does_not_agree(self) -> None:
        predictions = saying([[0, 0, 0]] * 20)
        predictions[:, 0] = np.nan
        evidence = Evidence(3, MEMORY)
        evidence.observe(predictions)
        assert evidence.quality(np.full(3, np.nan), np.zeros(3)).tolist() == [0, 1, 1]

    def test_is_the_accuracy_where_much_is_scored(self) -> None:
        evidence = Evidence(3, MEMORY)
        evidence.observe(saying([[0, 0, 1]] * 50))
        accuracy = np.array([0.5, 0.6, 0.9])
        np.testing.assert_allclose(evidence.quality(accuracy, np.full(3, 1e9)), accuracy, rtol=1e-6)

    def test_weighs_agreement_like_so_many_scored_nodes(self) -> None:
        evidence = Evidence(2, MEMORY)
        evidence.observe(saying([[0, 0]] * 50))
        np.testing.assert_allclose(evidence.quality(np.array([0.5, 0.6]), np.full(2, PRIOR)), [0.75, 0.8])

    def test_forgets_what_was_said_long_ago(self) -> None:
        evidence = Evidence(3, MEMORY)
        evidence.observe(saying([[0, 0, 1]] * 300))
        evidence.observe(saying([[1, 0, 1]] * 3000))
        quality = evidence.quality(np.full(3, np.nan), np.zeros(3))
        assert quality[1] < 0.01
        assert quality[2] > 0.99

    def test_told_to_forget_it_follows_what_comes_sooner(self) -> None:
        one, other = Evidence(3, MEMORY), Evidence(3, MEMORY)
        for evidence in (one, other):
            evidence.observe(saying([[0, 0, 1]] * 300))
        other.forget(10)
        for evidence in (one, other):
            evidence.observe(saying([[1, 0, 1]] * 30))
        nothing = np.full(3, np.nan), np.zeros(3)
        assert other.quality(*nothing)[2] > 0.7
        assert one.quality(*nothing)[2] < 0.3


class TestStrength:
    teaching = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0, 0, 0]], np.float32)

    def compared(self, classes: list[list[int]]) -> npt.NDArray[np.float64]:
        """After predictions of nodes that are all of class 0."""
        evidence = Evidence(3, MEMORY)
        evidence.compare(saying(classes), np.zeros(len(classes), np.int64), self.teaching)
        return evidence.strength()

    def test_is_whole_without_evidence(self) -> None:
        assert Evidence(3, MEMORY).strength().tolist() == [1, 1, 1]

    def test_falls_to_nothing_where_the_teachers_are_wrong_more_often(self) -> None:
        # The first is right, the two that teach it are not.
        assert self.compared([[0, 1, 1]] * 300).tolist() == [0, 1, 1]

    def test_is_whole_where_the_teachers_are_right_as_often_or_more(self) -> None:
        assert self.compared([[1, 0, 0]] * 300).tolist() == [1, 1, 1]

    def test_falls_gradually(self) -> None:
        strengths = [self.compared([[0, 1, 1]] * times)[0] for times in (1, 4, 9, 16)]
        assert strengths[0] == 1
        assert strengths == sorted(strengths, reverse=True)
        assert 0 < strengths[1] < 1
        assert strengths[3] == 0

    def test_does_not_fall_by_chance(self) -> None:
        # Of those on which they differ, the student is right alone a few times more.
        assert self.compared([[0, 1, 1]] * 52 + [[1, 0, 0]] * 48)[0] == 1

    def test_nodes_on_which_both_are_right_or_wrong_tell_nothing(self) -> None:
        few = self.compared([[0, 1, 1]] * 5)
        np.testing.assert_allclose(self.compared([[0, 0, 0], [1, 1, 1]] * 3 + [[0, 1, 1]] * 5), few)


def test_goes_on_from_its_state() -> None:
    one, other = Evidence(2, MEMORY), Evidence(2, MEMORY)
    both = np.array([[0, 1], [1, 0]], np.float32)
    one.observe(saying([[0, 1], [1, 1]]))
    one.compare(saying([[0, 1], [1, 1]]), np.array([0, 1]), both)
    other.restore(one.state())
    for evidence in (one, other):
        evidence.observe(saying([[2, 1]]))
        evidence.compare(saying([[2, 1]]), np.array([1]), both)
    for name, array in one.state().items():
        assert array.tobytes() == other.state()[name].tobytes()
