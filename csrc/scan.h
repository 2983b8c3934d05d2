/* Scanning a source that announces no changes: which of its tiles are compared, and when.
 *
 * Three kinds of comparison, each at its own time:
 * - the probe, a sparse comparison: every eighth row of the whole frame, another eighth each time,
 *   so that a change 8 rows high is found by the next probe and any change by the eighth;
 * - hot tiles: a tile that has changed is compared again after `hot` ns, and after twice as long
 *   each time it has not, until it is cold. A blinking cursor heats its own tiles and no others;
 * - everything, after a mode change.
 *
 * An input shortens the probe's interval to a share of the time that has passed since, so that a
 * change after the input is found late by that share at most. During this time, each scan also
 * compares the tiles that changed after earlier inputs: a key often changes the same part of the
 * screen as the key before, and that part may be too small for the probe.
 *
 * Times are nanoseconds of any clock that the caller reads. */
#ifndef KJU_SCAN_H
#define KJU_SCAN_H

#include "damage.h"

#include <stdatomic.h>

/* `KJU_ANSWERS`: tiles remembered because they changed after inputs. */
enum { KJU_PROBE_ROWS = 8, KJU_ANSWERS = 16 };

struct kju_pace {
    uint64_t rest;  /* between two probes at rest */
    uint64_t brisk; /* between two probes just after an input */
    uint64_t hot;   /* after a change, until its tile is compared again */
    uint64_t cold;  /* a tile whose interval reaches this is no longer hot */
    uint64_t answer; /* a change within this time after an input counts as its answer */
    uint32_t share; /* after an input an interval is the time since, divided by this */
};

struct kju_scan {
    struct kju_pace pace;
    uint64_t epoch;      /* of the mode the arrays belong to; 0: none yet */
    uint64_t probe;      /* when the next probe is due */
    uint64_t input;      /* time of the last input; 0: none */
    _Atomic uint64_t asked; /* the same, by `kju_scan_input`, from any thread */
    uint32_t answers[KJU_ANSWERS]; /* tiles that changed after inputs, the oldest overwritten */
    uint32_t answer_count;         /* all so far */
    uint64_t *due;       /* one per tile: time of its next comparison; 0: cold */
    uint64_t *interval;  /* one per tile: the interval that `due` was set with */
    uint8_t *marks;
    uint8_t *scratch;
    uint32_t columns, rows, phase;
};

/* Compare the tiles that are due at `now`, and publish the differences. `next` gets the time of the
 * next call, `changed` the number of published tiles. KJU_E_RECT: the source does not cover the mode. */
int kju_scan_step(struct kju_scan *v, struct kju_writer *w, const struct kju_source *s,
                   uint64_t now, uint64_t *next, uint64_t *changed);

/* Note an input at `now`: the next step is due. Any thread may call it at any time; it does not
 * wait for a step in progress. */
void kju_scan_input(struct kju_scan *v, uint64_t now);

void kju_scan_free(struct kju_scan *v);

#endif
