from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.shares import NoShare, Shares


def test_one_client_has_half_and_others_still_have_some() -> None:
    shares = Shares(90)
    with shares.take("a", 45):
        with pytest.raises(NoShare) as refused, shares.take("a", 1):
            pass
        assert (refused.value.own, refused.value.used, refused.value.total) == (45, 45, 90)
        with shares.take("b", 22), pytest.raises(NoShare), shares.take("b", 2):
            pass
    assert shares.used == 0
    with shares.take("a", 45):
        pass


def test_a_single_place_is_had_by_whoever_comes() -> None:
    shares = Shares(1)
    with shares.take("a"), pytest.raises(NoShare) as refused, shares.take("b"):
        pass
    assert refused.value.own == 0
    with shares.take("b"):
        pass
    with pytest.raises(NoShare), Shares(0).take("a"):
        pass


def test_a_share_grows_and_comes_back_whole() -> None:
    shares = Shares(10)
    with shares.take("a", 0) as share:
        share.grow(3)
        share.grow(2)
        with pytest.raises(NoShare):
            share.grow(1)
        assert (share.amount, shares.used) == (5, 5)
    assert shares.used == 0


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 40)), max_size=60))
def test_no_number_of_clients_leaves_nothing(asked: list[tuple[str, int]]) -> None:
    shares = Shares(1_000)
    for client, amount in asked:
        try:
            shares.add(client, amount)
        except NoShare:
            continue
    assert 0 <= shares.used <= 1_000
    # Eight clients leave a ninth of it.
    assert 1_000 - shares.used >= 1_000 // 9 - 40
