/* Power and energy of a simulated GPU in closed form, and what its power sensor makes of them. */
#include "sim.h"

static double clamp(double t, double a, double b) { return t < a ? a : t > b ? b : t; }

/* Seconds on, x seconds after the term began. */
static double square_s(const Term *s, double x) {
    double period = s->p[1], on = period * s->p[2], whole = floor(x / period);
    return on * whole + fmin(x - whole * period, on);
}

static double begin_of_burst(const Term *s, double k) { return k * s->p[2] + s->p[3] * u01(s->seed, 0, (int64_t)k); }

static double burst_s(const Term *s, double x) {
    double on = s->p[1], k = floor(x / s->p[2]);
    return on * k + clamp(x - begin_of_burst(s, k), 0, on);
}

static double turn(double period) { return period / (2 * M_PI); }

static double term_j(const Term *s, double t) {
    double x = s->kind == SWING ? t : clamp(t, s->a, s->b) - s->a;
    switch (s->kind) {
    case CONST: return s->p[0] * x;
    case SQUARE: return s->p[0] * square_s(s, x);
    case BURST: return s->p[0] * burst_s(s, x);
    case RAMP: return s->p[0] * x + (s->p[1] - s->p[0]) * x * x / (2 * (s->b - s->a));
    case SINE: return s->p[0] * x + s->p[1] * turn(s->p[2]) * (1 - cos(x / turn(s->p[2])));
    case DRIFT: return s->p[0] * x * x / 2 + (t > s->b ? s->p[0] * x * (t - s->b) : 0);
    case SWING: return s->p[0] * turn(s->p[1]) * (1 - cos(x / turn(s->p[1])));
    }
    return 0;
}

static double term_w(const Term *s, double t) {
    double x = t - s->a;
    if (s->kind == DRIFT) return s->p[0] * (clamp(t, s->a, s->b) - s->a);
    if (s->kind == SWING) return s->p[0] * sin(t / turn(s->p[1]));
    if (t < s->a || t >= s->b) return 0;
    switch (s->kind) {
    case CONST: return s->p[0];
    case SQUARE: return fmod(x, s->p[1]) < s->p[1] * s->p[2] ? s->p[0] : 0;
    case BURST: {
        double late = x - begin_of_burst(s, floor(x / s->p[2]));
        return late >= 0 && late < s->p[1] ? s->p[0] : 0;
    }
    case RAMP: return s->p[0] + (s->p[1] - s->p[0]) * x / (s->b - s->a);
    case SINE: return s->p[0] + s->p[1] * sin(x / turn(s->p[2]));
    default: return 0;
    }
}

double energy_j(int gpu, double t) {
    const Board *b = &world->board[gpu];
    double joules = b->idle_w * t + work_j(gpu, t);
    for (int i = 0; i < b->terms; i++) joules += term_j(&b->term[i], t);
    return joules;
}

double power_w(int gpu, double t) {
    const Board *b = &world->board[gpu];
    double watts = b->idle_w + work_w(gpu, t);
    for (int i = 0; i < b->terms; i++) watts += term_w(&b->term[i], t);
    return watts;
}

int busy(int gpu, double t) {
    const Board *b = &world->board[gpu];
    if (work_w(gpu, t) > 0) return 1;
    for (int i = 0; i < b->terms; i++)
        if (b->term[i].kind < DRIFT && term_w(&b->term[i], t) > 0) return 1;
    return 0;
}

static double mean_w(int gpu, double t, double window) {
    return window > 0 ? (energy_j(gpu, t) - energy_j(gpu, t - window)) / window : power_w(gpu, t);
}

/* The last moment at which a sensor of this period took a value. */
static double taken(double t, double period) { return period > 0 ? period * floor(t / period + 1e-9) : t; }

static double spoil(int gpu, double watts, double t, double period, uint64_t stream) {
    const Board *b = &world->board[gpu];
    int64_t k = period > 0 ? (int64_t)floor(t / period + 0.5) : (int64_t)(t * 1e6);
    double u = 1 - u01(b->noise_seed, stream + (uint64_t)gpu, k), v = u01(b->noise_seed, stream + 50 + (uint64_t)gpu, k);
    watts = watts * b->gain + b->offset + b->noise * sqrt(-2 * log(u)) * cos(2 * M_PI * v);
    if (b->step > 0) watts = b->step * round(watts / b->step);
    return watts > 0 ? watts : 0;
}

double sensor_w(int gpu, double t) {
    const Board *b = &world->board[gpu];
    double at = taken(t, b->period);
    return spoil(gpu, mean_w(gpu, at, b->window), at, b->period, 100);
}

double average_w(int gpu, double t) {
    const Board *b = &world->board[gpu];
    double at = taken(t, b->average_period), sum = 0;
    int n = b->average_of_samples && b->period > 0 ? (int)round(b->average_window / b->period) : 0;
    if (n < 1) return spoil(gpu, mean_w(gpu, at, b->average_window), at, b->average_period, 200);
    for (int i = 0; i < n; i++) sum += mean_w(gpu, taken(at, b->period) - i * b->period, b->window);
    return spoil(gpu, sum / n, at, b->average_period, 200);
}

/* As far above ambient as the mean power of the last tau seconds makes it. */
double temperature_c(int gpu, double t) {
    const Board *b = &world->board[gpu];
    return b->ambient_c + b->kelvin_per_w * mean_w(gpu, t, b->tau_s);
}
