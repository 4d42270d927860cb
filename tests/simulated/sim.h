/* What the simulated NVML knows of its world: shared by the files of libnvidia-ml.so.1. */
#ifndef SIM_H
#define SIM_H
#include <math.h>
#include <stdint.h>

#define GPUS 16
#define MANY 256
#define INTERVALS 65536
#define OK 0
#define UNINITIALIZED 1
#define INVALID 2
#define NOT_SUPPORTED 3
#define NO_PERMISSION 4
#define NOT_FOUND 6
#define TOO_SMALL 7
#define NO_DRIVER 9

enum Kind { CONST, SQUARE, BURST, RAMP, SINE, DRIFT, SWING };

/* A term of the power trace; what p holds depends on the kind (world.c). */
typedef struct { enum Kind kind; double a, b, p[4]; uint64_t seed; } Term;
typedef struct { double a, b; double watts; long long pid; int gpu; int tied; } Interval; /* live work */
typedef struct { char name[64]; double a, b; int code; } Fault;
typedef struct { char name[64]; double seconds, jitter; } Latency;
typedef struct { long long pid; double bytes, a, b, sm; } Process;
typedef struct { double a, b; unsigned long long mask; } Throttle;
typedef struct { double a, b; } Span;

typedef struct {
    double idle_w;
    Term term[MANY];
    /* power sensor */
    double period, window, average_period, average_window, gain, offset, noise, step;
    int average_of_samples, usage_is_average;
    uint64_t noise_seed;
    /* counter */
    double tick, phase, jitter, lag, lag_jitter, counter_gain, wrap, base, own_window, own_period;
    uint64_t jitter_seed;
    int zero, of_samples, resets, freezes;
    double reset[MANY];
    Span freeze[MANY];
    /* the rest of a GPU */
    char name[64];
    int arch, mig, terms, faults, latencies, processes, throttles;
    Fault fault[MANY];
    Latency latency[MANY];
    Process process[MANY];
    Throttle throttle[MANY];
    double ambient_c, kelvin_per_w, tau_s, limit_min, limit_default, limit_max, memory_used, activity_bytes;
} Board;

typedef struct {
    long long t0_ns;
    int gpus;
    double call_s, call_jitter, call_at, smi_s;
    char activity[1024], path[1024];
    Board board[GPUS];
} World;

extern World *world;
extern Interval interval[INTERVALS];
extern int intervals;

/* world.c */
int read_world(void);
void refresh(void);
double clock_s(void);           /* seconds since t0, now */
void pass(double seconds);      /* wait, or move the virtual clock */
double u01(uint64_t seed, uint64_t stream, int64_t k);
double work_w(int gpu, double t);
double work_j(int gpu, double t);

/* power.c: closed forms; t in seconds since t0 */
double energy_j(int gpu, double t);
double power_w(int gpu, double t);
int busy(int gpu, double t);
double sensor_w(int gpu, double t);
double average_w(int gpu, double t);
double temperature_c(int gpu, double t);

/* counter.c */
double counter_j(int gpu, double t);
void forget_after(double t);    /* sums kept of samples later than t no longer hold */
#endif
