"""The bounded dictionary."""

from sms1680.bounded import BoundedDict, RecentSet


def test_oldest_item_is_dropped_when_full() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(2)
    bounded["a"] = 1
    bounded["b"] = 2
    bounded["c"] = 3
    assert list(bounded.items()) == [("b", 2), ("c", 3)]


def test_setting_a_key_again_makes_it_the_newest_and_reading_does_not() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(2)
    bounded["a"] = 1
    bounded["b"] = 2
    bounded["a"] = 3
    assert bounded["b"] == 2
    bounded["c"] = 4
    assert list(bounded.items()) == [("a", 3), ("c", 4)]


def test_update_and_setdefault_respect_the_bound() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(2)
    bounded.update(a=1, b=2, c=3)
    assert list(bounded) == ["b", "c"]
    assert bounded.setdefault("b", 9) == 2
    assert bounded.setdefault("d", 4) == 4
    assert list(bounded.items()) == [("c", 3), ("d", 4)]
    assert bounded.pop("c") == 3
    assert len(bounded) == 1


def test_recent_set_holds_the_last_items_and_no_more_than_twice_as_many() -> None:
    recent: RecentSet[int] = RecentSet(3)
    for item in range(20):
        recent.add(item)
        recent.add(item)
        held = [one for one in range(20) if one in recent]
        assert held[-3:] == list(range(max(0, item - 2), item + 1))
        assert len(held) <= 6
