"""Ctrl-C and SIGTERM wherever a program is: in time, with the right exit code, saying where."""

import signal
import subprocess
import sys
import time

import pytest

from tests.entry_points import ROOT

# The module alone: the package takes seconds to import.
LOAD = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location('interrupts', 'mpq_jax/base/interrupts.py')
interrupts = module_from_spec(spec)
spec.loader.exec_module(interrupts)
"""

# Busy in C for minutes, where Python handles no signals.
BUSY = """
import hashlib
with interrupts.exit_when_busy(patience=PATIENCE), interrupts.stop_on_signals() as stop:
    stop.where = lambda: 'after episode 3 of 9; continue with --resume'
    print('busy', flush=True)
    hashlib.pbkdf2_hmac('sha1', b'', b'', 2**31 - 1)
"""

# Notices within a moment, and then takes its time to save.
ATTENTIVE = """
import time
with interrupts.exit_when_busy(patience=60):
    with interrupts.stop_on_signals() as stop:
        print('busy', flush=True)
        while not stop:
            time.sleep(0.01)
        time.sleep(0.5)
        print('saved ' + stop.signal_name, flush=True)
time.sleep(0.2)
raise SystemExit(interrupts.Stopped('', stop.signal_name).exit_code)
"""


@pytest.fixture
def start():
    processes = []

    def begin(program):
        process = subprocess.Popen(
            [sys.executable, '-c', LOAD + program], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout.readline() == 'busy\n'
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def exit_of(process):
    begin = time.monotonic()
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors, time.monotonic() - begin


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_busy_process_ends_after_a_while_and_says_where_it_was(start, number, code):
    process = start(BUSY.replace('PATIENCE', '1.0'))
    process.send_signal(number)
    returncode, _, errors, seconds = exit_of(process)
    assert returncode == code and 0.5 < seconds < 10
    assert f'stopped by {number.name} after episode 3 of 9; continue with --resume' in errors
    assert 'Traceback' not in errors


# As `mpq_jax.train` in a script: no entry point around it.
IN_A_SCRIPT = BUSY.replace('interrupts.exit_when_busy(patience=PATIENCE), ', '')


@pytest.mark.parametrize('program', [BUSY, IN_A_SCRIPT])
@pytest.mark.parametrize('inherited', ['default_int_handler', 'SIG_IGN'])
def test_a_second_ctrl_c_ends_a_busy_process_at_once(start, inherited, program):
    """Also where SIGINT was ignored before, as a shell has it for what runs in the background."""
    before = f'import signal\nsignal.signal(signal.SIGINT, signal.{inherited})'
    process = start(before + program.replace('PATIENCE', '600'))
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    returncode, _, errors, seconds = exit_of(process)
    assert returncode == 130 and seconds < 5
    assert 'after episode 3 of 9; continue' in errors and 'Traceback' not in errors


def test_a_process_that_notices_may_finish_what_it_saves(start):
    process = start(ATTENTIVE)
    process.send_signal(signal.SIGTERM)
    returncode, output, errors, _ = exit_of(process)
    assert (returncode, output) == (143, 'saved SIGTERM\n')
    assert errors.strip() == 'stopping; once more to leave at once'


def test_at_a_prompt_one_ctrl_c_ends_nothing(start):
    """Somebody's notebook has more in it than this run."""
    process = start('import sys\nsys.ps1 = ">>> "' + BUSY.replace('PATIENCE', '0.2'))
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert exit_of(process)[0] == 130


LOOP = """
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    with interrupts.exit_when_busy():
        print('busy', flush=True)
        await asyncio.wait_for(heard.wait(), 20)
    print('heard', flush=True)
import signal
asyncio.run(main())
"""


def test_an_event_loop_still_hears_its_signals(start):
    process = start(LOOP)
    process.send_signal(signal.SIGUSR1)
    returncode, output, _, _ = exit_of(process)
    assert (returncode, output) == (0, 'heard\n')


FORKS = """
import os, signal, time
with interrupts.exit_when_busy(patience=0.3), interrupts.stop_on_signals() as stop:
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(1)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    time.sleep(1.0)
    print('busy', flush=True)
    raise SystemExit(os.WTERMSIG(status) if not stop else 99)
"""


def test_a_signal_that_ends_a_forked_child_stops_nobody_else(start):
    assert exit_of(start(FORKS))[0] == signal.SIGTERM
