"""Signals that end a process, taken as Ctrl-C is."""

import os
import signal
import threading
from functools import partial

import pytest

from tbd.interruption import termination_as_interrupt

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_to_end_interrupts(number, request):
    # Under nohup, where tests may run too, one of them is ignored.
    request.addfinalizer(partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, signal.SIG_DFL)
    before, cleared = signal.getsignal(number), []

    def interrupted():
        try:
            os.kill(os.getpid(), number)
        finally:
            cleared.append(True)

    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        interrupted()
    assert cleared
    assert signal.getsignal(number) is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with termination_as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        with termination_as_interrupt():
            seen.extend(map(signal.getsignal, ENDING))

    before = [signal.getsignal(number) for number in ENDING]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before
