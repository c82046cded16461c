"""A stop that is asked for while Python cannot raise is not lost."""

import os
import signal

import pytest

from farm.interruption import noted_interruption


class Swallows:
    """Python drops what is raised in a destructor."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check():
    with noted_interruption() as interruption:
        interruption.check()
        Swallows()
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_interrupt_at_once_and_handlers_are_put_back(kind):
    before = signal.getsignal(kind)
    with pytest.raises(KeyboardInterrupt), noted_interruption():
        os.kill(os.getpid(), kind)
    assert signal.getsignal(kind) is before
