import pytest

from olad_core.students import (
    ARCHITECTURES,
    GCN,
    NameTaken,
    UnknownArchitecture,
    build_student,
    register,
    registered_name,
    registry,
    student_names,
)


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
    with pytest.raises(UnknownArchitecture, match="no student is registered as appnp: there are gcn, sage, "):
        build_student("appnp", 1, 4, 2, 0)


def test_a_registered_architecture_is_built_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(GCN):
        pass

    monkeypatch.setattr(registry, "ARCHITECTURES", dict(ARCHITECTURES))
    register("mine", Mine)
    register("mine", Mine)
    student = build_student("mine", 1, 4, 2, 0)
    assert type(student) is Mine
    assert registered_name(student) == "mine"
    with pytest.raises(NameTaken, match=r"mine is the name of another student: .*Mine"):
        register("mine", GCN)
