"""The sign by which work is asked to stop: a clock, or a signal of the cluster's scheduler."""

import os
import signal
import time
from pathlib import Path

import pytest

from infra import stopping
from infra.stopping import StopSign, shown_by_signals, stop_sign


def test_a_sign_is_shown_when_the_time_of_the_process_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_BEGAN_S", time.time() - 100)
    with stop_sign(tmp_path, 1000.0) as later, stop_sign(tmp_path, 99.0) as now, stop_sign(tmp_path, None) as never:
        assert [later(), now(), never()] == [False, True, False]
        assert now.why() == "the time limit is over"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_the_first_signal_shows_the_sign_and_the_second_does_what_it_did(tmp_path: Path, number: int) -> None:
    second: list[int] = []
    before = signal.signal(number, lambda number, frame: second.append(number))
    try:
        with stop_sign(tmp_path, None) as sign:
            # What a worker sees is the file.
            elsewhere = StopSign(sign.file)
            assert not elsewhere()
            os.kill(os.getpid(), number)
            assert elsewhere()
            assert elsewhere.why() == signal.Signals(number).name
            assert not second
            os.kill(os.getpid(), number)
            assert second == [number]
        assert not elsewhere()
        with shown_by_signals(elsewhere):
            pass
        os.kill(os.getpid(), number)
        assert len(second) == 2
        assert not elsewhere()
    finally:
        signal.signal(number, before)
