"""Progress reaches those who listen, and nobody else."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.progress import Progress, listening, report


def test_a_listener_hears_what_is_reported_while_it_listens() -> None:
    heard: list[Progress] = []
    report("before", 0, 1)
    with listening(heard.append):
        report("pretrain", 3, 15, "0.021 eV")
    report("after", 1, 1)
    assert heard == [Progress("pretrain", 3, 15, "0.021 eV")]


def test_the_terminal_and_the_dashboard_hear_the_same() -> None:
    terminal: list[Progress] = []
    dashboard: list[Progress] = []
    with listening(terminal.append):
        with listening(dashboard.append):
            report("curate", 1, 2)
        report("curate", 2, 2)
    assert [progress.done for progress in terminal] == [1, 2]
    assert [progress.done for progress in dashboard] == [1]


def test_a_listener_is_gone_after_an_error() -> None:
    heard: list[Progress] = []
    with pytest.raises(ZeroDivisionError), listening(heard.append):
        report("divide", 1 / 0, 1)
    report("later", 1, 1)
    assert heard == []


def test_work_in_another_thread_is_not_overheard() -> None:
    heard: list[Progress] = []
    with ThreadPoolExecutor(1) as pool, listening(heard.append):
        pool.submit(report, "another task", 1, 1).result()
        report("this task", 1, 1)
    assert [progress.label for progress in heard] == ["this task"]
