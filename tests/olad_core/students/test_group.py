import pytest

from olad_core.students import build_student, student_names


@pytest.mark.parametrize(
    ("architectures", "names"),
    [
        ([], ()),
        (["gat", "gcn"], ("gat", "gcn")),
        (["sage", "gcn", "sage", "sage"], ("sage", "gcn", "sage-2", "sage-3")),
    ],
)
def test_members_of_one_kind_are_numbered(architectures: list[str], names: tuple[str, ...]) -> None:
    assert student_names(architectures) == names


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(KeyError, match="mlp"):
        build_student("mlp", 1, 4, 2, 0)
