/* The energy counter of a simulated GPU: when it takes a value, when it shows it, and what it counts. */
#include "sim.h"
#include <pthread.h>
#include <stddef.h>

static double taken_s(const Board *b, int gpu, double k) {
    return b->phase + k * b->tick + b->jitter * u01(b->jitter_seed, 2 * (uint64_t)gpu, (int64_t)k);
}

static double shown_s(const Board *b, int gpu, double k) {
    return taken_s(b, gpu, k) + b->lag + b->lag_jitter * u01(b->jitter_seed, 2 * (uint64_t)gpu + 1, (int64_t)k);
}

/* The sum of the counter's own samples up to some seconds ago, so that each is made once. */
#define KEEP_S 5
static struct { const World *of; double n, t, joules; } kept[GPUS];
static long version;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void forget_after(double t) {
    pthread_mutex_lock(&lock);
    version++;
    for (int g = 0; g < GPUS; g++)
        if (kept[g].t > t) kept[g].of = NULL;
    pthread_mutex_unlock(&lock);
}

static double sample_j(const Board *b, int gpu, double i) {
    double at = b->phase + i * b->own_period;
    return (energy_j(gpu, at) - energy_j(gpu, at - b->own_window)) / b->own_window * b->own_period;
}

/* The samples 1 to n, each the mean of `own_window` and good for `own_period`; before 0 they count down. */
static double summed_j(const Board *b, int gpu, double t) {
    double n = floor((t - b->phase) / b->own_period + 1e-9), joules = 0, first = 1;
    double keep = n - floor(KEEP_S / b->own_period);
    for (double i = n + 1; i <= 0; i++) joules -= sample_j(b, gpu, i);
    pthread_mutex_lock(&lock);
    long seen = version;
    if (kept[gpu].of == world && kept[gpu].n <= n) { first = kept[gpu].n + 1; joules = kept[gpu].joules; }
    pthread_mutex_unlock(&lock);
    for (double i = first; i <= n; i++) {
        joules += sample_j(b, gpu, i);
        if (i != keep) continue;
        pthread_mutex_lock(&lock);
        if (version == seen) {
            kept[gpu].of = world;
            kept[gpu].n = i;
            kept[gpu].t = b->phase + i * b->own_period;
            kept[gpu].joules = joules;
        }
        pthread_mutex_unlock(&lock);
    }
    return joules;
}

static double counted_j(const Board *b, int gpu, double t) {
    return b->of_samples ? summed_j(b, gpu, t) : energy_j(gpu, t);
}

double counter_j(int gpu, double t) {
    const Board *b = &world->board[gpu];
    for (int i = 0; i < b->freezes; i++)
        if (t >= b->freeze[i].a && t < b->freeze[i].b) t = b->freeze[i].a;
    double k = floor((t - b->phase - b->lag) / b->tick) + 1, joules, since = -INFINITY;
    while (shown_s(b, gpu, k) > t) k--;
    double at = taken_s(b, gpu, k);
    for (int i = 0; i < b->resets; i++)
        if (b->reset[i] <= at && b->reset[i] > since) since = b->reset[i];
    joules = counted_j(b, gpu, at) * b->counter_gain;
    joules += isinf(since) ? b->base : -counted_j(b, gpu, since) * b->counter_gain;
    if (b->wrap > 0) joules -= b->wrap * floor(joules / b->wrap);
    return b->zero ? 0 : joules;
}
