"""Who steps what when: jobs wait in a line, and a few threads take them into their batches.

Whoever wants tokens waits for them, and may be interrupted at any moment: the work is done in threads that no
interrupt reaches, so nobody else notices. (It may come between any two instructions of Python. `with` on a plain lock
is safe from it; what `threading` and `concurrent.futures` build of locks is not.) Each thread has a batch of its own;
they share nothing but the line. There are no more threads than cores, and no more than there is work for: one that
waits for a core would only keep others waiting.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from generator.streaming.batch import Batch, Job, Result

SHARE = 4
"""Jobs that are worth a thread."""


def cores() -> int:
    """How many this process may use: what the system grants it, or `OMP_NUM_THREADS` where that is less."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(granted, max(1, int(wanted))) if wanted.isdecimal() else granted


def threads_for(jobs: int, most: int) -> int:
    """How many threads so many jobs are work for, of those that there may be."""
    return min(most, -(-jobs // SHARE))


class Call:
    """Some jobs, and somebody who waits until they are done."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.wanted = True
        """Whether anyone still waits."""
        self._results: dict[Job, Result] = {}
        self._error: BaseException | None = None
        self._lock, self._done = Lock(), Lock()
        self._done.acquire()

    def wait(self) -> list[Result]:
        """The results, in the order of the jobs."""
        try:
            self._done.acquire()
        except BaseException:
            self.wanted = False
            raise
        if self._error is not None:
            raise self._error
        return [self._results[job] for job in self.jobs]

    def answer(self, job: Job, result: Result) -> None:
        """One of the jobs is done."""
        with self._lock:
            self._results[job] = result
            if self.wanted and len(self._results) == len(self.jobs):
                self._done.release()

    def fail(self, error: BaseException) -> None:
        """They cannot be done."""
        with self._lock:
            if self.wanted:
                self.wanted, self._error = False, error
                self._done.release()


class Scheduler:
    """Runs jobs. Threads may share it."""

    def __init__(self, new_batch: Callable[[], Batch], threads: int | None = None) -> None:
        """`threads` step at most, or as many as there are cores."""
        self._new_batch, self._most = new_batch, threads or cores()
        self._forget()

    def _forget(self) -> None:
        """Begin without threads, as in the child of a fork."""
        self._lock = Lock()
        self._line: deque[tuple[Call, Job]] = deque()
        self._busy: list[Batch] = []
        self._idle: list[Batch] = []
        self._process = os.getpid()

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """The results of these jobs, in their order."""
        if not jobs:
            return []
        if self._process != os.getpid():
            self._forget()
        call = Call(jobs)
        with self._lock:
            self._line.extend((call, job) for job in jobs)
            missing = self._wanted() - len(self._busy)
        for _ in range(missing):
            start_new_thread(self._work, ())  # an interrupt in `Thread.start` could leave the thread waiting
        return call.wait()

    def _jobs(self) -> int:
        return len(self._line) + sum(len(batch.jobs) for batch in self._busy)

    def _wanted(self) -> int:
        """How many threads there is work for."""
        return threads_for(self._jobs(), self._most)

    def _work(self) -> None:
        """Step until no job is left."""
        try:
            batch = self._begin()
        except BaseException as error:
            with self._lock:
                if self._busy:  # another thread serves them
                    return
                line = list(self._line)
                self._line.clear()
            for call, _ in line:
                call.fail(error)
            return
        calls: dict[Job, Call] = {}
        while batch and ((taken := self._share(batch)) or batch.jobs):
            try:
                new = {job: call for call, job in taken if call.wanted}
                calls |= new
                for job in new:
                    batch.add(job)
                for job, result in batch.step():
                    calls.pop(job).answer(job, result)
            except BaseException as error:
                for call in calls.values():
                    call.fail(error)
                calls.clear()
                batch.jobs.clear()

    def _begin(self) -> Batch | None:
        """The batch of one more thread; None if there are enough of them."""
        with self._lock:
            if len(self._busy) >= self._wanted():
                return None
            batch = self._idle.pop() if self._idle else self._new_batch()
            self._busy.append(batch)
        return batch

    def _share(self, batch: Batch) -> list[tuple[Call, Job]]:
        """What a batch is to take from the line, so that all have as many jobs; one that has nothing to do is idle."""
        with self._lock:
            threads = max(len(self._busy), self._wanted())  # some may be about to begin
            share = min(batch.rows, -(-self._jobs() // threads))
            taken = [self._line.popleft() for _ in range(min(len(self._line), share - len(batch.jobs)))]
            if not taken and not batch.jobs:
                self._busy.remove(batch)
                self._idle.append(batch)
        return taken
