#include "crowdrec/trainload.h"

#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3, REASON = 512 };

/* One batch: being filled (left > 0), full, or free to be filled with a later one. */
typedef struct {
    void *input[TRAIN_INPUTS];
    int left;
} Slot;

struct TrainLoader {
    TrainTask task;
    TrainLoad o;
    int inputs;
    size_t part[TRAIN_INPUTS]; /* bytes of one sample in each input */
    Slot slot[SLOTS];
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    pthread_t *worker;
    int workers;
    uint64_t drawn;       /* samples handed to workers */
    uint64_t taken, done; /* batches */
    int *order;           /* of the epoch of the sample drawn last */
    uint64_t epoch;
    double progress;
    bool stop;
    Status status;   /* of the first failure */
    uint64_t failed; /* the batch of that */
    char reason[REASON];
};

/* ---- which sample ---- */

/* Fisher and Yates' shuffle of one epoch. */
static void shuffle(TrainLoader *l, uint64_t epoch) {
    uint64_t stream = rng_stream("train order", l->o.seed) + (epoch << 32);
    int n = l->task.samples;
    for (int i = 0; i < n; i++) l->order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int k = (int)(rng_splitmix(stream + (uint64_t)i) % (uint64_t)(i + 1)), old = l->order[i];
        l->order[i] = l->order[k];
        l->order[k] = old;
    }
    l->epoch = epoch;
}

/* With the lock held. */
static TrainDraw draw_of(TrainLoader *l, uint64_t number) {
    uint64_t k = l->o.overfit ? number % (uint64_t)l->o.overfit : number;
    uint64_t epoch = k / (uint64_t)l->task.samples;
    if (epoch != l->epoch) shuffle(l, epoch);
    double share = l->o.samples > 0 ? (double)number / l->o.samples : l->progress;
    return (TrainDraw){.key = rng_splitmix(rng_stream("train sample", l->o.seed) + k),
                       .index = l->order[k % (uint64_t)l->task.samples],
                       .progress = share < 1 ? share : 1};
}

/* ---- workers ---- */

typedef struct {
    uint64_t batch;
    int place;
    TrainDraw draw;
} Ticket;

/* The next sample, once its slot is free.  False when there is nothing more to do. */
static bool take_ticket(TrainLoader *l, Ticket *t) {
    uint64_t batch = (uint64_t)l->o.batch;
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->drawn / batch >= l->done + SLOTS)
        pthread_cond_wait(&l->emptied, &l->lock);
    bool go_on = !l->stop;
    if (go_on) {
        *t = (Ticket){.batch = l->drawn / batch, .place = (int)(l->drawn % batch)};
        t->draw = draw_of(l, l->o.first + l->drawn++);
    }
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void finish_ticket(TrainLoader *l, const Ticket *t, Status status) {
    pthread_mutex_lock(&l->lock);
    if (status != OK && (l->status == OK || t->batch < l->failed)) {
        l->status = status;
        l->failed = t->batch;
        snprintf(l->reason, sizeof l->reason, "%s", error_reason());
        l->stop = true;
        pthread_cond_broadcast(&l->emptied);
    }
    if (--l->slot[t->batch % SLOTS].left == 0 || l->stop) pthread_cond_broadcast(&l->filled);
    pthread_mutex_unlock(&l->lock);
}

static void *work(void *context) {
    TrainLoader *l = context;
    Ticket t;
    parallel_set_threads(1);
    while (take_ticket(l, &t)) {
        void *input[TRAIN_INPUTS];
        for (int i = 0; i < l->inputs; i++)
            input[i] = (char *)l->slot[t.batch % SLOTS].input[i] + (size_t)t.place * l->part[i];
        finish_ticket(l, &t, l->task.sample(l->task.self, &t.draw, input));
    }
    return NULL;
}

/* ---- the loop's side ---- */

static Status take_slots(TrainLoader *l, const TrainGraph *graph) {
    l->inputs = graph->inputs;
    for (int i = 0; i < graph->inputs; i++) {
        const Tensor *t = graph->input[i];
        CHECK(t->shape.n == l->o.batch, "input %d is of %d samples, not %d", i, t->shape.n,
              l->o.batch);
        size_t bytes = shape_size(t->shape) * dtype_size(t->dtype);
        l->part[i] = bytes / (size_t)l->o.batch;
        for (int k = 0; k < SLOTS; k++) {
            l->slot[k].input[i] = calloc(1, bytes + 1);
            if (!l->slot[k].input[i])
                return fail(ERR_MEMORY, "no memory for batches of %d samples; use a smaller batch",
                            l->o.batch);
        }
    }
    return OK;
}

static Status start_workers(TrainLoader *l) {
    l->worker = calloc((size_t)l->o.workers, sizeof *l->worker);
    if (!l->worker) return fail(ERR_MEMORY, "no memory for %d threads", l->o.workers);
    for (; l->workers < l->o.workers; l->workers++)
        if (pthread_create(&l->worker[l->workers], NULL, work, l))
            return fail(ERR_MEMORY, "cannot start thread %d of %d; use fewer workers",
                        l->workers + 1, l->o.workers);
    return OK;
}

Status trainload_new(const TrainTask *task, const TrainGraph *graph, const TrainLoad *options,
                     TrainLoader **out) {
    TrainLoader *l = calloc(1, sizeof *l);
    CHECK(l, "out of memory");
    l->task = *task;
    l->o = *options;
    l->progress = options->progress;
    l->epoch = UINT64_MAX;
    l->order = malloc((size_t)task->samples * sizeof *l->order + 1);
    CHECK(l->order, "out of memory");
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->emptied, NULL);
    for (int k = 0; k < SLOTS; k++) l->slot[k].left = l->o.batch;
    Status status = take_slots(l, graph);
    if (status == OK) status = start_workers(l);
    if (status == OK)
        *out = l;
    else
        trainload_free(l);
    return status;
}

void trainload_free(TrainLoader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->emptied);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->workers; i++) pthread_join(l->worker[i], NULL);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->filled);
    pthread_cond_destroy(&l->emptied);
    for (int k = 0; k < SLOTS; k++)
        for (int i = 0; i < TRAIN_INPUTS; i++) free(l->slot[k].input[i]);
    free(l->worker);
    free(l->order);
    free(l);
}

/* Batches before the one that failed are whole, or will be. */
static bool has_failed(const TrainLoader *l) { return l->status != OK && l->taken >= l->failed; }

Status trainload_next(TrainLoader *l, void *const **input) {
    Slot *s = &l->slot[l->taken % SLOTS];
    pthread_mutex_lock(&l->lock);
    while (s->left && !has_failed(l)) pthread_cond_wait(&l->filled, &l->lock);
    Status status = has_failed(l) ? l->status : OK;
    pthread_mutex_unlock(&l->lock);
    if (status != OK) return fail(status, "%s", l->reason);
    l->taken++;
    *input = s->input;
    return OK;
}

void trainload_done(TrainLoader *l) {
    pthread_mutex_lock(&l->lock);
    l->slot[l->done++ % SLOTS].left = l->o.batch;
    pthread_cond_broadcast(&l->emptied);
    pthread_mutex_unlock(&l->lock);
}

void trainload_progress(TrainLoader *l, double share) {
    pthread_mutex_lock(&l->lock);
    l->progress = share;
    pthread_mutex_unlock(&l->lock);
}
