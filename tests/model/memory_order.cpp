/* Every memory order of include/kju/surface.h, under the memory model of C11.
 *
 * Relacy (Debian: relacy-dev) runs a few threads in many interleavings, and has each atomic load
 * return whatever the model allows, old values too. What runs is the header itself:
 * test_memory_order.py writes it to surface_as_cpp.h, line for line, with Relacy's atomics for
 * C's. futex(2) is a mutex and a condition here.
 *
 *   memory_order TEST BOUND LINE
 *
 * BOUND is how many preemptions there may be: all such interleavings are run, with loads that
 * are up to one store behind. 0 runs RANDOM_EXECUTIONS at random instead, with loads that are
 * up to two stores behind: a sequence is stored to twice by each writer. LINE of the header has its order relaxed, or its fence left out; 0 is none. Ends with 0 when
 * nothing is wrong, 1 when something is, after how it came to that.
 *
 * What Relacy cannot do is let a store overtake an earlier load. Nothing here would notice: a
 * consumer stores nothing, and a producer loads only what nobody else writes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <time.h>
#include <unistd.h>

#include <relacy/relacy.hpp> /* last: it gives words like free and delete another meaning */

using namespace rl;

static unsigned weak_line;
static memory_order order_of(memory_order order, debug_info_param at) {
    bool weak = at.line_ == weak_line && std::strstr(at.file_, "surface_as_cpp.h");
    return weak ? mo_relaxed : order;
}

/* Relacy's `memory_order_acquire` is two arguments: the order, and where it stands. */
template <typename T>
T atomic_load_explicit(const rl::atomic<T> *from, memory_order order, debug_info_param at) {
    return from->load(order_of(order, at), at);
}
template <typename T, typename V>
void atomic_store_explicit(rl::atomic<T> *to, V value, memory_order order, debug_info_param at) {
    to->store((T)value, order_of(order, at), at);
}
template <typename T>
T atomic_fetch_add_explicit(rl::atomic<T> *to, int n, memory_order order, debug_info_param at) {
    return to->fetch_add(n, order_of(order, at), at);
}
static void kju_fence(memory_order order, debug_info_param at) {
    if (order_of(order, at) != mo_relaxed)
        rl::atomic_thread_fence(order, at);
}

/* The kernel compares the word and joins the queue under a lock that the waker takes as well. */
struct Queue {
    rl::mutex lock;
    rl::condition_variable sleepers;
};
static Queue *kernel;

static long kju_model_futex(rl::atomic<uint32_t> *word, int operation, uint32_t value) {
    kernel->lock.lock($);
    if (operation == FUTEX_WAKE)
        kernel->sleepers.notify_all($);
    else if (word->load(mo_seq_cst, $) == value)
        kernel->sleepers.wait(kernel->lock, $);
    kernel->lock.unlock($);
    return 0;
}

#include "surface_as_cpp.h"

/* ---- What the tests share: two tiles with a pixel each, which holds the version it was drawn
 * in. One mode is published before the threads start: version 1, epoch 1. */

enum { TILES = 2, SIDE = 8 };

struct Memory {
    kju_header header;
    rl::atomic<uint64_t> tiles[TILES];
    rl::atomic<uint32_t> pixels[TILES];
};

template <typename Test> struct Surface : rl::test_suite<Test, 2> {
    Memory memory;
    Queue queue;
    kju_layout layout;
    kju_mode mode;

    void before() {
        kernel = &queue;
        std::memset(&layout, 0, sizeof layout);
        layout.tile_side = SIDE;
        layout.tiles_capacity = TILES;
        layout.pixels_capacity = KJU_PAGE;
        layout.tiles_offset = (uintptr_t)memory.tiles - (uintptr_t)&memory;
        kju_header *h = &memory.header;
        for (rl::atomic<uint32_t> *zero :
             {&h->pulse, &h->sequence, &h->mode_sequence, &h->live_stride, &h->live_number})
            zero->store(0, mo_relaxed, $);
        for (rl::atomic<uint64_t> *zero : {&h->version, &h->epoch, &h->live_offset})
            zero->store(0, mo_relaxed, $);
        h->state.store(KJU_LIVE, mo_relaxed, $);
        for (uint32_t i = 0; i < KJU_REASON_SIZE; i++)
            h->reason[i].store(0, mo_relaxed, $);
        kju_mode first = {0, 2 * SIDE, SIDE, 2 * SIDE, KJU_R8};
        mode = first;
        set_mode();
        N = 1;
        copy[0] = copy[1] = 1;
    }

    virtual void produce() = 0;
    virtual void consume() = 0;
    void thread(unsigned which) { which ? consume() : produce(); }

    void draw(uint32_t first, uint64_t version) {
        for (uint32_t i = first; i < TILES; i++)
            memory.pixels[i].store((uint32_t)version, mo_relaxed, $);
    }
    void set_mode() { /* kju_writer_mode of damage.c */
        uint64_t version = kju_next_version(&memory);
        kju_begin(&memory);
        kju_set_mode(&memory, &layout, &mode, version);
        draw(0, version);
        kju_end(&memory, version);
    }
    void publish(uint32_t first) { /* kju_writer_draw of damage.c, from a tile on */
        kju_rect rect = {first * SIDE, 0, mode.width - first * SIDE, mode.height};
        kju_begin(&memory);
        draw(first, kju_next_version(&memory));
        kju_publish(&memory, &layout, &mode, &rect, 1);
    }

    uint64_t N;
    uint32_t copy[TILES];

    void copy_all() {
        for (uint32_t i = 0; i < TILES; i++)
            copy[i] = memory.pixels[i].load(mo_relaxed, $);
    }
    void look() { /* find_changes of reader.c, and the copies */
        uint64_t version = kju_version(&memory);
        if (version == N)
            return;
        for (uint32_t i = 0; i < TILES; i++)
            if (kju_tile_newer(&memory, &layout, i, N))
                copy[i] = memory.pixels[i].load(mo_relaxed, $);
        N = version;
    }
};

/* ---- The tests */

/* Whoever has caught up holds the producer's pixels. */
struct Equal : Surface<Equal> {
    void produce() {
        publish(0);
        publish(1);
    }
    void consume() {
        look();
        look();
    }
    void after() {
        look();
        for (uint32_t i = 0; i < TILES; i++)
            RL_ASSERT(copy[i] == memory.pixels[i].load(mo_relaxed, $));
    }
};

/* A tile that is newer is there with the pixels that made it so. */
struct Fresh : Surface<Fresh> {
    void produce() { publish(0); }
    void consume() {
        if (kju_tile_newer(&memory, &layout, 1, 1))
            RL_ASSERT(memory.pixels[1].load(mo_relaxed, $) == 2);
    }
};

/* Nobody sleeps over a publication, cap or no cap: it would be a deadlock. */
struct Wake : Surface<Wake> {
    void produce() { publish(0); }
    void consume() {
        while (N < 2) {
            uint32_t pulse = kju_pulse(&memory);
            look();
            if (N < 2)
                kju_wait(&memory, pulse, -1);
        }
    }
};

/* A copy between two equal even sequences is one version: the one that was read there. */
struct Exact : Surface<Exact> {
    void produce() {
        publish(0);
        publish(0);
    }
    void consume() {
        uint32_t sequence = kju_sequence(&memory);
        if (sequence & 1)
            return;
        uint64_t version = kju_version(&memory);
        copy_all();
        if (kju_same_sequence(&memory, sequence))
            for (uint32_t i = 0; i < TILES; i++)
                RL_ASSERT(copy[i] == version);
    }
};

/* What is read of a mode was set together. */
struct Mode : Surface<Mode> {
    void produce() {
        kju_mode other = {0, SIDE, 2 * SIDE, 4 * SIDE, KJU_XR24};
        kju_set_mode(&memory, &layout, &other, 2);
    }
    void consume() {
        kju_mode read;
        if (kju_read_mode(&memory, &layout, &read) == KJU_BUSY)
            return;
        bool first = read.epoch == 1;
        RL_ASSERT(first || read.epoch == 2);
        RL_ASSERT(read.width == (first ? 2 * SIDE : SIDE));
        RL_ASSERT(read.height == (first ? SIDE : 2 * SIDE));
        RL_ASSERT(read.stride == (first ? 2 * SIDE : 4 * SIDE));
        RL_ASSERT(read.fourcc == (first ? KJU_R8 : KJU_XR24));
    }
};

/* The same of the live window; and it ends with its mode. */
struct Window : Surface<Window> {
    void before() {
        Surface::before();
        kju_live live = {1, 1, 1};
        kju_set_live(&memory, &live);
    }
    void produce() {
        kju_live live = {2, 2, 2};
        kju_set_live(&memory, &live);
        kju_set_mode(&memory, &layout, &mode, 2);
    }
    void consume() {
        kju_mode read;
        kju_live live;
        if (kju_read_live(&memory, &layout, &read, &live) == KJU_BUSY)
            return;
        RL_ASSERT(read.epoch == 1 ? live.number == 1 || live.number == 2 : !live.number);
        RL_ASSERT(!live.number || (live.offset == live.number && live.stride == live.number));
    }
};

/* A state is read with its reason. */
struct State : Surface<State> {
    void produce() {
        kju_set_state(&memory, KJU_PAUSED, "p");
        kju_set_state(&memory, KJU_LIVE, NULL);
    }
    void consume() { /* reader_state of reader.c, with the weakest orders that will do */
        kju_header *h = &memory.header;
        uint32_t before = h->mode_sequence.load(mo_acquire, $);
        uint32_t state = h->state.load(mo_acquire, $);
        uint8_t reason = h->reason[0].load(mo_acquire, $);
        if (!(before & 1) && before == h->mode_sequence.load(mo_relaxed, $))
            RL_ASSERT(state == KJU_PAUSED ? reason == 'p' : !reason);
    }
};

/* A copy between two readings of one epoch holds nothing that was drawn for a later one. */
struct Geometry : Surface<Geometry> {
    void produce() { set_mode(); }
    void consume() { /* copy_checked of reader_copy.c */
        kju_mode read, after;
        if (kju_read_mode(&memory, &layout, &read))
            return;
        uint32_t sequence = kju_sequence(&memory);
        copy_all();
        kju_same_sequence(&memory, sequence); /* its fence keeps the copy before what follows */
        if (!kju_read_mode(&memory, &layout, &after) && after.epoch == read.epoch)
            for (uint32_t i = 0; i < TILES; i++)
                RL_ASSERT(copy[i] <= read.epoch); /* versions and epochs count alike here */
    }
};

enum { RANDOM_EXECUTIONS = 100000 };

template <typename Test> static bool holds(unsigned bound) {
    rl::test_params how;
    how.search_type = bound ? rl::sched_bound : rl::sched_random;
    how.context_bound = bound;
    how.iteration_count = RANDOM_EXECUTIONS;
    bool right = rl::simulate<Test>(how);
    std::cout << how.stop_iteration << " executions" << std::endl;
    return right;
}

int main(int count, char **words) {
    static const struct {
        const char *name;
        bool (*holds)(unsigned);
    } tests[] = {{"equal", holds<Equal>}, {"fresh", holds<Fresh>},   {"wake", holds<Wake>},
                 {"exact", holds<Exact>}, {"mode", holds<Mode>},     {"window", holds<Window>},
                 {"state", holds<State>}, {"geometry", holds<Geometry>}};
    for (auto &test : tests)
        if (count == 4 && !std::strcmp(words[1], test.name)) {
            weak_line = (unsigned)std::atoi(words[3]);
            bool right = test.holds((unsigned)std::atoi(words[2]));
            std::_Exit(right ? 0 : 1); /* after a failure nothing can be freed */
        }
    return 2;
}
