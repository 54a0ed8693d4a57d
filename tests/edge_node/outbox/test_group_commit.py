"""Many callers, one commit; each gets what is its own."""

import threading
from collections.abc import Sequence

import pytest

from edge_node.outbox.group_commit import GroupCommit


def test_those_who_wait_while_a_commit_runs_are_committed_together() -> None:
    groups: list[list[int]] = []
    began, go_on = threading.Event(), threading.Event()

    def commit(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        began.set()
        assert go_on.wait(60)
        return [item * 10 for item in items]

    group: GroupCommit[int, int] = GroupCommit(commit)
    results: dict[int, int] = {}
    threads = [threading.Thread(target=lambda item=item: results.update({item: group(item)})) for item in range(8)]
    threads[0].start()
    assert began.wait(60)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 7:
        threads[1].join(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == {item: item * 10 for item in range(8)}
    assert [len(each) for each in groups] == [1, 7]


def test_the_error_of_one_is_not_the_error_of_the_others() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: [item or ValueError("zero") for item in items])
    assert group(1) == 1
    with pytest.raises(ValueError, match="zero"):
        group(0)


def test_a_failed_commit_fails_everyone_and_the_next_one_is_tried() -> None:
    def commit(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise OSError("the disk")
        return list(items)

    group: GroupCommit[int, int] = GroupCommit(commit)
    with pytest.raises(OSError, match="the disk"):
        group(0)
    assert group(2) == 2
