/* Writer.scan and Writer.scan_until: a source without announcements is compared, and when. */
#include "writer.h"

#include <stdatomic.h>
#include <time.h>

/* set_scan_pace(rest, brisk, hot, cold, share, answer): nanoseconds, and the share of an input's age */
PyObject *kju_writer_set_scan_pace(Writer *self, PyObject *args) {
    struct kju_pace pace;
    unsigned long long values[5];
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&", kju_parse_u64, &values[0], kju_parse_u64, &values[1],
                          kju_parse_u64, &values[2], kju_parse_u64, &values[3], kju_parse_u32,
                          &pace.share, kju_parse_u64, &values[4]))
        return NULL;
    pace.answer = values[4];
    pace.rest = values[0];
    pace.brisk = values[1];
    pace.hot = values[2];
    pace.cold = values[3];
    pace.share = pace.share ? pace.share : 1;
    kju_writer_acquire(self);
    self->scan.pace = pace;
    PyThread_release_lock(self->lock);
    Py_RETURN_NONE;
}

/* note_input(now): the guest was sent an input; the next scan is due. */
PyObject *kju_writer_note_input(Writer *self, PyObject *now) {
    unsigned long long time;
    if (!kju_parse_u64(now, &time))
        return NULL;
    kju_scan_input(&self->scan, time); /* without the lock, which a scan holds for milliseconds */
    Py_RETURN_NONE;
}

/* _scan(source, offset, stride, format, now) -> (when to call again, tiles published) */
PyObject *kju_writer_scan(Writer *self, PyObject *args) {
    Py_buffer buffer;
    unsigned long long offset, stride, now;
    const char *format;
    struct kju_source source;
    uint64_t next = 0, changed = 0;
    int result;
    if (!PyArg_ParseTuple(args, "y*O&O&sO&", &buffer, kju_parse_u64, &offset, kju_parse_u64,
                          &stride, &format, kju_parse_u64, &now))
        return NULL;
    kju_writer_acquire_pixels(self);
    if (kju_fill_source(&source, &buffer, offset, stride, format, self->w.mode.fourcc,
                        self->w.mode.width)) {
        PyThread_release_lock(self->lock);
        PyBuffer_Release(&buffer);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    result = kju_scan_step(&self->scan, &self->w, &source, now, &next, &changed);
    Py_END_ALLOW_THREADS
    PyThread_release_lock(self->lock);
    PyBuffer_Release(&buffer);
    return result ? kju_raise(result)
                  : Py_BuildValue("(KK)", (unsigned long long)next, (unsigned long long)changed);
}

static uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Sleep until a time or `interrupt`; a signal may end it sooner. */
static void sleep_until(Writer *self, uint64_t time) {
    uint64_t now = read_clock(CLOCK_MONOTONIC), left = time > now ? time - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    kju_futex(&self->interrupted, FUTEX_WAIT_PRIVATE, 0, &timeout);
}

/* Take the request of `interrupt`. Acquire: the caller then sees what the other thread wants. */
static int is_interrupted(Writer *self) {
    return atomic_exchange_explicit(&self->interrupted, 0, memory_order_acquire) != 0;
}

struct limits {
    uint64_t until;   /* return when the next step is due after this time */
    uint64_t budget;  /* the next step begins this many times the last one's processor time later, */
    uint64_t longest; /* but not later than this; a step of that length rests as long as it took */
};

static uint64_t pause_after(const struct limits *limits, uint64_t used) {
    if (limits->budget < 2)
        return 0;
    uint64_t pause = used * (limits->budget - 1);
    uint64_t most = limits->longest > 2 * used ? limits->longest - used : used;
    return pause < most ? pause : most;
}

/* Run steps when they are due, without the interpreter's lock. Hundreds of them follow an input,
 * while the thread that answers the client needs that lock; at rest, waking up in the interpreter
 * takes longer than a step. The processor time of a step, not its duration, determines the pause
 * after it: a preempted step has used no more than another. */
static int scan_until(Writer *self, const struct kju_source *source, const struct limits *limits,
                      uint64_t *next, uint64_t *changed) {
    for (;;) {
        uint64_t now = read_clock(CLOCK_MONOTONIC), used = read_clock(CLOCK_THREAD_CPUTIME_ID);
        PyThread_acquire_lock(self->gate, WAIT_LOCK);
        PyThread_acquire_lock(self->lock, WAIT_LOCK);
        PyThread_release_lock(self->gate);
        int result = kju_scan_step(&self->scan, &self->w, source, now, next, changed);
        PyThread_release_lock(self->lock);
        used = read_clock(CLOCK_THREAD_CPUTIME_ID) - used;
        uint64_t earliest = read_clock(CLOCK_MONOTONIC) + pause_after(limits, used);
        if (*next < earliest)
            *next = earliest;
        if (result || *changed || *next >= limits->until || is_interrupted(self))
            return result;
        sleep_until(self, *next);
        if (is_interrupted(self))
            return result;
    }
}

/* _scan_until(source, offset, stride, format, until, budget, longest)
 * -> (when to call again, tiles published) */
PyObject *kju_writer_scan_until(Writer *self, PyObject *args) {
    Py_buffer buffer;
    unsigned long long offset, stride, until, budget, longest;
    const char *format;
    struct kju_source source;
    uint64_t next = 0, changed = 0;
    if (!PyArg_ParseTuple(args, "y*O&O&sO&O&O&", &buffer, kju_parse_u64, &offset, kju_parse_u64,
                          &stride, &format, kju_parse_u64, &until, kju_parse_u64, &budget,
                          kju_parse_u64, &longest))
        return NULL;
    struct limits limits = {until, budget, longest};
    int result = kju_fill_source(&source, &buffer, offset, stride, format, self->w.mode.fourcc,
                                 self->w.mode.width);
    if (result) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    result = scan_until(self, &source, &limits, &next, &changed);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffer);
    return result ? kju_raise(result)
                  : Py_BuildValue("(KK)", (unsigned long long)next, (unsigned long long)changed);
}

/* interrupt(): `scan_until` returns, also while it sleeps; the next call, if none runs, after its
 * first step. */
PyObject *kju_writer_interrupt(Writer *self, PyObject *unused) {
    (void)unused;
    /* Release: pairs with `is_interrupted`. */
    atomic_store_explicit(&self->interrupted, 1, memory_order_release);
    kju_futex(&self->interrupted, FUTEX_WAKE_PRIVATE, 1, NULL);
    Py_RETURN_NONE;
}
