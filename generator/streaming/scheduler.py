"""The scheduler: jobs wait in a queue, and a few worker threads take them into their batches.

A caller waits for its results and may be interrupted (Ctrl-C) at any moment without affecting others, because Python
raises KeyboardInterrupt only in the main thread, and the work is done in other threads. An interrupt may come between
any two instructions: `with` on a plain lock is safe then, but the objects that `threading` and `concurrent.futures`
build from locks are not. Each thread has a batch of its own; the threads share only the queue. There are no more
threads than cores, and no more than there is work for, since a thread that waits for a core delays the others.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from generator.streaming.batch import Batch
from generator.streaming.jobs import Job, Result

JOBS_PER_THREAD = 4
"""A further thread starts for each further group of so many jobs."""


def cores() -> int:
    """The number of cores that this process may use: its CPU affinity, or `OMP_NUM_THREADS` if that is less."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(granted, max(1, int(wanted))) if wanted.isdecimal() else granted


def threads_for(jobs: int, most: int) -> int:
    """The number of threads for a number of jobs, at most `most`."""
    return min(most, -(-jobs // JOBS_PER_THREAD))


class Call:
    """The jobs of one caller, who waits until all of them are done."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.wanted = True
        """Whether the caller still waits."""
        self._results: dict[Job, Result] = {}
        self._error: BaseException | None = None
        self._lock, self._done = Lock(), Lock()
        self._done.acquire()

    def wait(self) -> list[Result]:
        """Wait for the results; return them in the order of the jobs. Raises what `fail` was called with."""
        try:
            self._done.acquire()
        except BaseException:
            self.wanted = False
            raise
        if self._error is not None:
            raise self._error
        return [self._results[job] for job in self.jobs]

    def answer(self, job: Job, result: Result) -> None:
        """Store the result of one job, and wake the caller after the last one."""
        with self._lock:
            self._results[job] = result
            if self.wanted and len(self._results) == len(self.jobs):
                self._done.release()

    def fail(self, error: BaseException) -> None:
        """Raise an error in the caller."""
        with self._lock:
            if self.wanted:
                self.wanted, self._error = False, error
                self._done.release()


class Scheduler:
    """Runs jobs in worker threads. Threads may share it."""

    def __init__(self, new_batch: Callable[[], Batch], threads: int | None = None) -> None:
        """Use at most `threads` threads, by default as many as there are cores."""
        self._new_batch, self._most = new_batch, threads or cores()
        self._reset()

    def _reset(self) -> None:
        """Start without threads. The child of a fork needs this, because threads do not survive a fork."""
        self._lock = Lock()
        self._queue: deque[tuple[Call, Job]] = deque()
        self._busy: list[Batch] = []
        self._idle: list[Batch] = []
        self._process = os.getpid()

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs; return their results in the same order."""
        if not jobs:
            return []
        if self._process != os.getpid():
            self._reset()
        call = Call(jobs)
        with self._lock:
            self._queue.extend((call, job) for job in jobs)
            missing = self._threads_needed() - len(self._busy)
        for _ in range(missing):
            start_new_thread(self._work, ())  # an interrupt in `Thread.start` could leave the thread waiting
        return call.wait()

    def _job_count(self) -> int:
        return len(self._queue) + sum(len(batch.jobs) for batch in self._busy)

    def _threads_needed(self) -> int:
        """The number of threads for the present jobs."""
        return threads_for(self._job_count(), self._most)

    def _work(self) -> None:
        """The body of a worker thread: take jobs and step them until none is left."""
        try:
            batch = self._claim_batch()
        except BaseException as error:
            with self._lock:
                if self._busy:  # another thread will do the jobs
                    return
                waiting = list(self._queue)
                self._queue.clear()
            for call, _ in waiting:
                call.fail(error)
            return
        calls: dict[Job, Call] = {}
        while batch and ((taken := self._take_jobs(batch)) or batch.jobs):
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

    def _claim_batch(self) -> Batch | None:
        """A batch for a new thread; None if there are enough threads already."""
        with self._lock:
            if len(self._busy) >= self._threads_needed():
                return None
            batch = self._idle.pop() if self._idle else self._new_batch()
            self._busy.append(batch)
        return batch

    def _take_jobs(self, batch: Batch) -> list[tuple[Call, Job]]:
        """Take jobs from the queue such that all batches have about as many; release a batch without jobs."""
        with self._lock:
            threads = max(len(self._busy), self._threads_needed())  # some threads may just be starting
            share = min(batch.rows, -(-self._job_count() // threads))
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), share - len(batch.jobs)))]
            if not taken and not batch.jobs:
                self._busy.remove(batch)
                self._idle.append(batch)
        return taken
