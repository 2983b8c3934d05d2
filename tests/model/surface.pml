/* The protocol of include/kju/surface.h for spin: publish, ask what changed, wait.
 *
 * A producer publishes rectangles, or compares with a guest's memory, which changes and
 * announces nothing, and changes the mode. Consumers ask what changed, copy, and sleep.
 * Each step is one load or store of shared memory, in the order of the program; a comment
 * names the C that it stands for. That compilers and processors keep this order is what
 * docs/memory-order.md is about.
 *
 * What is checked
 *   equal     a consumer that has caught up with a producer that does no more holds exactly
 *             its pixels: the assertions before a sleep and before leaving;
 *   geometry  what is remembered as the picture of one epoch holds nothing that was drawn
 *             for a later one: the assertion at the commit;
 *   wakes     when nothing can move any more, nobody sleeps over something it has not
 *             taken: the assertion behind `timeout`, where no cap ends a sleep;
 *   rest      whoever looks again and again sleeps between: the progress label;
 *   exact     a consistent copy is one published version, and a mode is one that was set.
 *
 * What is searched, by definitions; test_model.py has the list of searches
 *   CONSUMERS=n   1 or 2; they share what they read, and the futex
 *   LOOKS=n       publications of a producer, or comparisons before the last one
 *   MODES=n       mode changes after the first mode
 *   WRITES=n      of the guest, a tile each; 0 is no guest, and rectangles are told
 *   RESTART       the producer closes at some time; a successor may come
 *   KILLED        and it may be killed, after any step
 *   EXACT         the consumer takes consistent copies
 *   UNCAPPED      a sleep ends by a wake alone. Otherwise it may end at any moment (on a
 *                 busy computer KJU_WAIT_CAP_MS is no time), so that the pulse decides
 *                 nothing and is left out
 *   PULSE_BITS=n  the pulse's width: 1 wraps all the time
 * And one mistake each, marked MUTANT: every one of them has to be found.
 *
 * SPDX-License-Identifier: MIT
 */

#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
#ifndef MODES
#define MODES 1
#endif
#ifndef WRITES
#define WRITES 0
#endif
#ifndef PULSE_BITS
#define PULSE_BITS 8
#endif
#ifdef RESTART
#define LIVES 2
#else
#define LIVES 1
#endif
#define TILES 2

/* ---- Shared memory: a surface for each life of a producer */

typedef Surface {
    byte incarnation;
    byte version;
    byte pulse;
    byte epoch;            /* 0 is no mode yet */
    bit stride;            /* which of two ways the picture lies in the pixels */
    byte tiles[TILES];
    byte pixels[TILES];
    bool gone;             /* `state` is KJU_CLOSED, or the kernel says: its process died */
#ifdef EXACT
    byte sequence;
    byte mode_sequence;
    byte shown[16];        /* ghost: the picture of every version */
#endif
    byte drawn_for[TILES]; /* ghost: the epoch these pixels were drawn for */
    bool drawing;          /* ghost: in the middle of a publication */
    bool rests             /* ghost: its producer does no more */
};
Surface surface[LIVES];
byte address;              /* the surface that is opened by name: the newest */
bool asleep[CONSUMERS];    /* the kernel's queue of `pulse` */
byte vram[TILES];          /* the guest's memory: the live window */
bool guest_rests, no_successor; /* ghosts */
bool killed;               /* SIGKILL; nothing but a sleep's end makes a consumer notice */

/* Where a tile of the picture lies. A mode change moves every one. */
#define AT(tile, stride_) ((tile) ^ (stride_))

proctype guest() {
    byte writes;
    do
    :: writes < WRITES -> atomic {
        writes++;
        if
        :: vram[0] = 1 - vram[0]
        :: vram[1] = 1 - vram[1]
        fi }
    :: break
    od;
    atomic { guest_rests = true; writes = 0 }
}

/* ---- Producer: surface.h, and csrc/damage.c above it */

inline kju_begin() {
    atomic {
        next = surface[s].version + 1; /* kju_next_version: nobody else writes it */
        surface[s].drawing = true
    }
#ifdef VERSION_BEFORE_TILES /* MUTANT: the surface's version is raised before the tiles' */
    surface[s].version = next;
#endif
#if defined(EXACT) && !defined(ODD_TOO_LATE)
    surface[s].sequence = surface[s].sequence | 1; /* kju_lock(&h->sequence) */
#endif
}

/* copy_rect of damage.c. The guest may have written again since it was compared. */
inline copy_rect(tile) {
    atomic {
#if WRITES
        surface[s].pixels[AT(tile, surface[s].stride)] = vram[tile];
#else
        surface[s].pixels[AT(tile, surface[s].stride)] = next; /* unlike any before */
#endif
        surface[s].drawn_for[AT(tile, surface[s].stride)] = surface[s].epoch
    }
}

/* kju_mark: atomic_store_explicit(&tiles[..], version, release) */
inline kju_mark(tile) {
    surface[s].tiles[tile] = next
}

inline kju_wake() {
#ifdef UNCAPPED
    surface[s].pulse = (surface[s].pulse + 1) % (1 << PULSE_BITS); /* atomic_fetch_add */
    atomic { /* kju_futex(&h->pulse, FUTEX_WAKE, INT_MAX, NULL) */
#if CONSUMERS == 1
        asleep[0] = false
#elif defined(ONE_IS_WOKEN) /* MUTANT: FUTEX_WAKE for one sleeper */
        if
        :: asleep[0] -> asleep[0] = false
        :: else -> asleep[1] = false
        fi
#else
        asleep[0] = false;
        asleep[1] = false
#endif
    }
#else
    skip
#endif
}

inline kju_end() {
#ifdef EVEN_TOO_EARLY /* MUTANT: exact readers are let in before the version is raised */
    surface[s].sequence = (surface[s].sequence | 1) + 1;
#endif
    atomic {
        surface[s].version = next; /* atomic_store_explicit(&h->version, version, release) */
#ifdef EXACT
        surface[s].shown[2 * next] = surface[s].pixels[AT(0, surface[s].stride)];
        surface[s].shown[2 * next + 1] = surface[s].pixels[AT(1, surface[s].stride)];
#endif
        surface[s].drawing = false;
        next = 0
    }
#if defined(EXACT) && !defined(EVEN_TOO_EARLY)
    surface[s].sequence = (surface[s].sequence | 1) + 1; /* kju_unlock(&h->sequence) */
#endif
    kju_wake()
}

/* kju_writer_mode of damage.c: kju_begin, kju_set_mode, the whole picture, kju_end. */
inline kju_writer_mode() {
    kju_begin();
#ifdef EXACT
    surface[s].mode_sequence = surface[s].mode_sequence | 1; /* kju_lock(&h->mode_sequence) */
    surface[s].epoch = surface[s].epoch + 1;
    surface[s].stride = 1 - surface[s].stride;
    surface[s].mode_sequence = (surface[s].mode_sequence | 1) + 1; /* kju_unlock */
#else /* in one step: that modes are read whole is searched with EXACT */
    atomic { surface[s].epoch = surface[s].epoch + 1; surface[s].stride = 1 - surface[s].stride }
#endif
    kju_mark(0);
    kju_mark(1);
    copy_rect(0);
    copy_rect(1);
    kju_end()
}

/* kju_writer_draw of damage.c, of both tiles or of the second: kju_begin, the pixels,
 * kju_publish. */
inline kju_writer_draw(both) {
    kju_begin();
    if
    :: both -> copy_rect(0)
    :: else
    fi;
    copy_rect(1);
#ifdef ODD_TOO_LATE /* MUTANT: the sequence is odd only when the pixels are there */
    surface[s].sequence = surface[s].sequence | 1;
#endif
    if
    :: both -> kju_mark(0)
    :: else
    fi;
    kju_mark(1);
    kju_end()
}

/* kju_writer_compare of damage.c: compare_band; where something differs kju_begin,
 * copy_tiles (which copies and marks), kju_end. */
inline kju_writer_compare() {
    differs[0] = (vram[0] != surface[s].pixels[AT(0, surface[s].stride)]);
    differs[1] = (vram[1] != surface[s].pixels[AT(1, surface[s].stride)]);
    if
    :: differs[0] || differs[1] ->
        kju_begin();
        if
        :: differs[0] -> copy_rect(0); kju_mark(0)
        :: else
        fi;
        if
        :: differs[1] -> copy_rect(1); kju_mark(1)
        :: else
        fi;
        atomic { differs[0] = 0; differs[1] = 0 }
        kju_end()
    :: else
    fi
}

proctype producer(byte s) {
    byte next, looks, modes;
    bit differs[TILES];
    {
#ifdef SAME_INCARNATION /* MUTANT: who starts again from zero is taken for the one before */
        surface[s].incarnation = 1;
#else
        surface[s].incarnation = 1 + s; /* kju_format; nobody can have opened it yet */
#endif
        address = s;
        kju_writer_mode();
        do
#if WRITES
        :: looks < LOOKS -> looks++; kju_writer_compare()
        :: guest_rests -> kju_writer_compare(); break
#else
        :: looks < LOOKS -> looks++; kju_writer_draw(true)
        :: looks < LOOKS && CONSUMERS == 1 -> looks++; kju_writer_draw(false)
        :: break
#endif
        :: s == 0 && modes < MODES -> modes++; kju_writer_mode()
        od;
        if
        :: s == 0 && LIVES > 1 -> /* kju_set_state: KJU_CLOSED, and everyone looks again */
            atomic { surface[s].rests = true; surface[s].gone = true }
            kju_wake()
        :: else
        fi
    }
#ifdef KILLED
    unless { killed && s == 0 -> atomic { surface[s].rests = true; surface[s].gone = true } }
#endif
    if
    :: s < LIVES - 1 -> run producer(s + 1)
    :: s < LIVES - 1 -> no_successor = true
    :: s == LIVES - 1 -> atomic { surface[s].rests = true; no_successor = true }
    fi
}

proctype killer() {
    killed = true
}

/* ---- Consumer: the head of surface.h, find_changes of csrc/reader.c, copy_checked of
 * csrc/reader_copy.c */

#define SAME_MODE (mark_incarnation == surface[m].incarnation && mark_epoch == epoch)
#define CAUGHT_UP (mark_incarnation == surface[m].incarnation && \
    mark_epoch == surface[m].epoch && mark_version == surface[m].version)
#define EQUAL (copy[0] == surface[m].pixels[AT(0, surface[m].stride)] && \
    copy[1] == surface[m].pixels[AT(1, surface[m].stride)])

inline kju_tile_newer(tile) {
    atomic {
        if
        :: surface[m].tiles[tile] > mark_version ->
            take[tile] = 1;
#ifdef N_FROM_TILE
            newest = (surface[m].tiles[tile] > newest -> surface[m].tiles[tile] : newest)
#endif
        :: else
        fi
    }
}

inline kju_copy_pixels(tile) {
    if
    :: take[tile] -> atomic {
#ifdef LIVE_WINDOW /* MUTANT: who keeps state looks at the guest's memory */
        copy[tile] = vram[tile]
#else
        copy[tile] = surface[m].pixels[AT(tile, stride)];
        later = later || surface[m].drawn_for[AT(tile, stride)] > epoch
#endif
        }
    :: else
    fi
}

inline forget_surface() { /* fewer states: nobody looks at the old one any more */
#if CONSUMERS == 1
    surface[0].version = 0; surface[0].epoch = 0; surface[0].stride = 0;
    surface[0].tiles[0] = 0; surface[0].tiles[1] = 0;
    surface[0].pixels[0] = 0; surface[0].pixels[1] = 0;
    surface[0].drawn_for[0] = 0; surface[0].drawn_for[1] = 0;
    surface[0].drawing = false
#else
    skip
#endif
}

inline forget_look() { /* fewer states: what a look has read is not used after it */
    version = 0; epoch = 0; stride = 0; take[0] = 0; take[1] = 0; later = false
}

proctype consumer(byte me) {
    byte m;                     /* the surface it has opened */
    byte pulse, version, epoch; /* as this look has read them */
    bit stride, take[TILES];
    bool last_look;
    byte mark_incarnation, mark_epoch, mark_version; /* all that it remembers: N, of what */
    byte copy[TILES];           /* the picture that it holds */
    bool later;                 /* ghost: a part of it was drawn for a later epoch */
#ifdef N_FROM_TILE
    byte newest;
#endif
look:
#if defined(UNCAPPED) && !defined(PULSE_AFTER_SCAN)
    pulse = surface[m].pulse; /* kju_pulse */
#endif
look_again:
    version = surface[m].version; /* kju_version */
    atomic { epoch = surface[m].epoch; stride = surface[m].stride } /* kju_read_mode */
    if
    :: epoch == 0 -> goto nothing
    :: epoch && !SAME_MODE -> atomic { take[0] = 1; take[1] = 1 } /* everything */
#ifdef UNMOVED_IS_TAKEN /* MUTANT: the tiles are asked though the version has not moved */
    :: epoch && SAME_MODE -> kju_tile_newer(0); kju_tile_newer(1)
#else
    :: epoch && SAME_MODE && version != mark_version -> kju_tile_newer(0); kju_tile_newer(1)
    :: epoch && SAME_MODE && version == mark_version
#endif
    fi;
    if
    :: !take[0] && !take[1] -> goto nothing
    :: else
    fi;
    kju_copy_pixels(0);
    kju_copy_pixels(1);
#ifdef VERSION_AFTER_COPY /* MUTANT: N is the version after the copy */
    version = surface[m].version;
#endif
#ifndef EPOCH_UNCHECKED /* MUTANT: the epoch is not looked at again after the copy */
    if
    :: surface[m].epoch != epoch -> atomic { forget_look(); goto look } /* MODE_CHANGED */
    :: else
    fi;
#endif
    atomic { /* commit; nothing here is shared */
        assert(!later); /* geometry */
        mark_incarnation = surface[m].incarnation;
        mark_epoch = epoch;
        mark_version = version;
#ifdef N_FROM_TILE /* MUTANT: N is the newest version of a tile */
        mark_version = (newest -> newest : version);
        newest = 0;
#endif
        forget_look();
        last_look = false;
        goto look
    }
nothing:
    atomic { forget_look() }
#ifdef PULSE_AFTER_SCAN /* MUTANT: what is published between the two is slept over */
    pulse = surface[m].pulse;
#endif
#ifdef RESTART
#ifdef LEAVES_AT_ONCE /* MUTANT: it may have published once more before it went */
    last_look = true;
#endif
    if
    :: surface[m].gone && !last_look -> /* _changes_or_gone of kju's client looks again */
        last_look = true; goto look_again
    :: surface[m].gone && last_look -> atomic {
            assert(!surface[m].epoch || surface[m].drawing || (CAUGHT_UP && EQUAL)); /* equal */
            last_look = false; pulse = 0
        }
        if
        :: address != m -> atomic { m = address; forget_surface(); goto look }
        :: address == m && no_successor -> goto end
        fi
    :: else
    fi;
#endif
    atomic {
        last_look = false;
        assert(!surface[m].rests || surface[m].drawing || !CAUGHT_UP || EQUAL); /* equal */
#ifdef UNCAPPED /* kju_wait: FUTEX_WAIT compares and joins the queue in one step */
        asleep[me] = (surface[m].pulse == pulse);
        pulse = 0
#endif
    }
progress_sleeping:
    if
#ifdef UNCAPPED
    :: !asleep[me] -> goto look
    :: timeout -> assert(surface[m].rests && !surface[m].gone && CAUGHT_UP && EQUAL) /* wakes */
#else
    :: goto look
#endif
    fi;
end:
    skip
}

#ifdef EXACT
/* copy_checked of reader_copy.c, for exactly one version. */
proctype exact_consumer() {
    byte before, version, epoch, copy[TILES];
    bit stride;
look:
    before = surface[0].mode_sequence; /* kju_read_mode: acquire */
    epoch = surface[0].epoch;
    stride = surface[0].stride;
#ifndef MODE_UNCHECKED /* MUTANT: the mode's sequence is not read again */
    if
    :: (before & 1) || before != surface[0].mode_sequence -> goto again
    :: else
    fi;
#endif
    assert(stride == (epoch & 1)); /* exact: a mode that was set */
    if
    :: !epoch -> goto again
    :: else
    fi;
    before = surface[0].sequence; /* kju_sequence */
    if
    :: before & 1 -> goto again
    :: else
    fi;
    version = surface[0].version; /* kju_version */
    copy[0] = surface[0].pixels[AT(0, stride)]; /* kju_copy_pixels */
    copy[1] = surface[0].pixels[AT(1, stride)];
#ifndef SEQUENCE_UNCHECKED /* MUTANT: the sequence is not read again */
    if
    :: before != surface[0].sequence -> goto again /* kju_same_sequence */
    :: else
    fi;
#endif
#ifndef EPOCH_UNCHECKED
    if
    :: epoch != surface[0].epoch -> goto again /* kju_read_mode: of it only this is used */
    :: else
    fi;
#endif
    assert(copy[0] == surface[0].shown[2 * version]); /* exact */
    assert(copy[1] == surface[0].shown[2 * version + 1]);
again:
    atomic { before = 0; version = 0; epoch = 0; stride = 0; copy[0] = 0; copy[1] = 0; goto look }
}
#endif

init {
    atomic {
#if WRITES
        run guest();
#endif
        run producer(0);
#ifdef KILLED
        run killer();
#endif
#ifdef EXACT
        run exact_consumer()
#else
        run consumer(0);
#if CONSUMERS > 1
        run consumer(1)
#endif
#endif
    }
}
