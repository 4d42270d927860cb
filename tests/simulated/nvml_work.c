/* Who works on a simulated GPU: utilisation, memory and processes. */
#include "api.h"
#include <string.h>
#include <time.h>

#define SPAN_S (1.0 / 6) /* utilisation is of this long, as real drivers tell it */
#define STEPS 32

typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } ProcessInfo;
typedef struct { unsigned pid; unsigned long long time_us; unsigned sm, memory, encoder, decoder; } ProcessUse;

static const unsigned long long TOTAL = 80ULL << 30;

static int same(long long pid, const ProcessInfo *list, int n) {
    for (int i = 0; i < n; i++)
        if (list[i].pid == (unsigned)pid) return 1;
    return 0;
}

/* Those of the world's file and those that work live, each once. */
static int processes(int gpu, double t, ProcessInfo *to) {
    const Board *b = &world->board[gpu];
    int n = 0;
    for (int i = 0; i < b->processes && n < MANY; i++)
        if (t >= b->process[i].a && t < b->process[i].b)
            to[n++] = (ProcessInfo){(unsigned)b->process[i].pid, (unsigned long long)b->process[i].bytes, ~0u, ~0u};
    for (int i = 0; i < intervals && n < MANY; i++)
        if (interval[i].gpu == gpu && t >= interval[i].a && t < interval[i].b && !same(interval[i].pid, to, n))
            to[n++] = (ProcessInfo){(unsigned)interval[i].pid, (unsigned long long)b->activity_bytes, ~0u, ~0u};
    return n;
}

static int list(void *gpu, unsigned *count, ProcessInfo *to) {
    ProcessInfo found[MANY];
    int n = processes(board_of(gpu), moment(), found);
    if ((int)*count < n || (n && !to)) { *count = (unsigned)n; return TOO_SMALL; }
    for (int i = 0; i < n; i++) to[i] = found[i];
    *count = (unsigned)n;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, ProcessInfo *to) { ENTER(gpu); return list(gpu, count, to); }
int nvmlDeviceGetComputeRunningProcesses_v2(void *gpu, unsigned *count, ProcessInfo *to) { ENTER(gpu); return list(gpu, count, to); }

static int nobody(unsigned *count) { *count = 0; return OK; }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *gpu, unsigned *n, ProcessInfo *to) { (void)to; ENTER(gpu); return nobody(n); }
int nvmlDeviceGetGraphicsRunningProcesses_v2(void *gpu, unsigned *n, ProcessInfo *to) { (void)to; ENTER(gpu); return nobody(n); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *gpu, unsigned *n, ProcessInfo *to) { (void)to; ENTER(gpu); return nobody(n); }

/* Percent of the last span in which the GPU worked. */
static unsigned busy_percent(int gpu, double t) {
    int on = 0;
    for (int i = 0; i < STEPS; i++) on += busy(gpu, t - SPAN_S * (i + 0.5) / STEPS);
    return (unsigned)lround(100.0 * on / STEPS);
}

/* Live work shares the GPU's time as it shares its power; a process of the file says its own. */
static unsigned share_percent(int gpu, long long pid, double t) {
    const Board *b = &world->board[gpu];
    double share = 0;
    for (int i = 0; i < b->processes; i++)
        if (b->process[i].pid == pid && t >= b->process[i].a && t < b->process[i].b) return (unsigned)b->process[i].sm;
    for (int s = 0; s < STEPS; s++) {
        double at = t - SPAN_S * (s + 0.5) / STEPS, all = work_w(gpu, at), mine = 0;
        for (int i = 0; i < intervals; i++)
            if (interval[i].gpu == gpu && interval[i].pid == pid && at >= interval[i].a && at < interval[i].b)
                mine += interval[i].watts;
        share += all > 0 ? mine / all : 0;
    }
    return (unsigned)lround(100 * share / STEPS);
}

int nvmlDeviceGetUtilizationRates(void *gpu, Rates *rates) {
    WHOLE(gpu);
    rates->gpu = busy_percent(board_of(gpu), moment());
    rates->memory = rates->gpu / 2;
    return OK;
}

/* Microseconds since 1970 at a moment of the trace; the same however often it is asked. */
static unsigned long long wall_us(double t) {
    static long long zero_us;
    struct timespec wall;
    if (!zero_us) {
        clock_gettime(CLOCK_REALTIME, &wall);
        zero_us = wall.tv_sec * 1000000LL + wall.tv_nsec / 1000 - (long long)(clock_s() * 1e6);
    }
    return (unsigned long long)(zero_us + (long long)(t * 1e6));
}

/* One sample a process and span, stamped with the span's end (microseconds of wall-clock time). */
int nvmlDeviceGetProcessUtilization(void *gpu, ProcessUse *to, unsigned *count, unsigned long long last_us) {
    ProcessInfo found[MANY];
    WHOLE(gpu);
    double at = SPAN_S * floor(moment() / SPAN_S);
    unsigned long long us = wall_us(at);
    int n = us > last_us ? processes(board_of(gpu), at, found) : 0;
    if (!n) { *count = 0; return NOT_FOUND; }
    if (!to || (int)*count < n) { *count = (unsigned)n; return TOO_SMALL; }
    for (int i = 0; i < n; i++)
        to[i] = (ProcessUse){found[i].pid, us, share_percent(board_of(gpu), found[i].pid, at), 0, 0, 0};
    *count = (unsigned)n;
    return OK;
}

static unsigned long long used(void *gpu) {
    ProcessInfo found[MANY];
    unsigned long long bytes = (unsigned long long)BOARD(gpu)->memory_used;
    int n = processes(board_of(gpu), moment(), found);
    for (int i = 0; i < n; i++) bytes += found[i].bytes;
    return bytes < TOTAL ? bytes : TOTAL;
}

int nvmlDeviceGetMemoryInfo(void *gpu, Memory *m) {
    ENTER(gpu);
    *m = (Memory){TOTAL, TOTAL - used(gpu), used(gpu)};
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *gpu, MemoryV2 *m) {
    ENTER(gpu);
    *m = (MemoryV2){m->version, TOTAL, 0, TOTAL - used(gpu), used(gpu)};
    return OK;
}
