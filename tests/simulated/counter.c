/* The energy counter of a simulated GPU: when it takes a value, when it shows it, and what it counts. */
#include "sim.h"

static double taken_s(const Board *b, int gpu, double k) {
    return b->phase + k * b->tick + b->jitter * u01(b->jitter_seed, 2 * (uint64_t)gpu, (int64_t)k);
}

static double shown_s(const Board *b, int gpu, double k) {
    return taken_s(b, gpu, k) + b->lag + b->lag_jitter * u01(b->jitter_seed, 2 * (uint64_t)gpu + 1, (int64_t)k);
}

/* The sum of the counter's own samples, each the mean of `own_window` and good for `own_period`. */
static double summed_j(const Board *b, int gpu, double t) {
    double n = floor((t - b->phase) / b->own_period + 1e-9), joules = 0;
    double first = n < 0 ? n + 1 : 1, last = n < 0 ? 0 : n;
    for (double i = first; i <= last; i++) {
        double at = b->phase + i * b->own_period;
        joules += (energy_j(gpu, at) - energy_j(gpu, at - b->own_window)) / b->own_window * b->own_period;
    }
    return n < 0 ? -joules : joules;
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
