/* Energy, power, limits, temperature and clocks of a simulated GPU. */
#include "api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENERGY 83
#define POWER_AVERAGE 185
#define POWER_INSTANT 186
#define SCOPE_GPU 0
#define IDLE 1ULL
#define POWER_CAP 4ULL

enum { UNSIGNED = 1, UNSIGNED_LONG_LONG = 3 };
typedef union { double d; int si; unsigned ui; unsigned long ul; unsigned long long ull; } Value;
typedef struct { unsigned field, scope; long long timestamp, latency; unsigned kind, code; Value value; } FieldValue;
typedef struct { unsigned version; int kind, celsius; } TemperatureV;

int simulated_fault(const char *name, void *gpu);

static unsigned milli(double x) { return (unsigned)llround(x * 1000); }
static unsigned long long energy_mj(void *gpu) { return (unsigned long long)floor(counter_j(board_of(gpu), moment()) * 1000 + 1e-6); }

int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *millijoules) {
    WHOLE(gpu);
    *millijoules = energy_mj(gpu);
    return OK;
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts) {
    WHOLE(gpu);
    int g = board_of(gpu);
    *milliwatts = milli(BOARD(gpu)->usage_is_average ? average_w(g, moment()) : sensor_w(g, moment()));
    return OK;
}

/* --- what was set: a file beside the world keeps it, for every process --- */

static void state_path(void *gpu, const char *name, char *to, size_t size) {
    snprintf(to, size, "%s.%s.%d", world->path, name, board_of(gpu));
}

static double state(void *gpu, const char *name, double otherwise) {
    char path[1100];
    double value = otherwise;
    state_path(gpu, name, path, sizeof path);
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    if (fscanf(file, "%lf", &value) != 1) value = otherwise;
    fclose(file);
    return value;
}

static int set_state(void *gpu, const char *name, double value) {
    char path[1100];
    state_path(gpu, name, path, sizeof path);
    FILE *file = fopen(path, "w");
    if (!file) return NO_PERMISSION;
    fprintf(file, "%.3f\n", value);
    fclose(file);
    return OK;
}

static int unset_state(void *gpu, const char *name) {
    char path[1100];
    state_path(gpu, name, path, sizeof path);
    remove(path);
    return OK;
}

static double limit_w(void *gpu) { return state(gpu, "limit", BOARD(gpu)->limit_default); }

int nvmlDeviceGetPowerManagementLimit(void *gpu, unsigned *mw) { WHOLE(gpu); *mw = milli(limit_w(gpu)); return OK; }
int nvmlDeviceGetEnforcedPowerLimit(void *gpu, unsigned *mw) { WHOLE(gpu); *mw = milli(limit_w(gpu)); return OK; }

int nvmlDeviceGetPowerManagementDefaultLimit(void *gpu, unsigned *mw) {
    WHOLE(gpu);
    *mw = milli(BOARD(gpu)->limit_default);
    return OK;
}

int nvmlDeviceGetPowerManagementLimitConstraints(void *gpu, unsigned *low, unsigned *high) {
    WHOLE(gpu);
    *low = milli(BOARD(gpu)->limit_min);
    *high = milli(BOARD(gpu)->limit_max);
    return OK;
}

int nvmlDeviceSetPowerManagementLimit(void *gpu, unsigned mw) {
    WHOLE(gpu);
    if (mw < milli(BOARD(gpu)->limit_min) || mw > milli(BOARD(gpu)->limit_max)) return INVALID;
    return set_state(gpu, "limit", mw / 1000.0);
}

int nvmlDeviceGetPersistenceMode(void *gpu, unsigned *mode) { ENTER(gpu); *mode = (unsigned)state(gpu, "persistence", 0); return OK; }
int nvmlDeviceSetPersistenceMode(void *gpu, unsigned mode) { ENTER(gpu); return set_state(gpu, "persistence", mode); }

/* --- fields --- */

static void put_field(void *gpu, FieldValue *v) {
    char name[32];
    int g = board_of(gpu);
    snprintf(name, sizeof name, "FieldValue%u", v->field);
    v->kind = UNSIGNED;
    v->code = (unsigned)simulated_fault(name, gpu);
    v->timestamp = (long long)(moment() * 1e6);
    v->latency = 0;
    v->value.ull = 0;
    if (v->code) return;
    if (v->field == ENERGY) { v->kind = UNSIGNED_LONG_LONG; v->value.ull = energy_mj(gpu); }
    else if (v->field == POWER_AVERAGE && v->scope == SCOPE_GPU) v->value.ui = milli(average_w(g, moment()));
    else if (v->field == POWER_INSTANT && v->scope == SCOPE_GPU) v->value.ui = milli(sensor_w(g, moment()));
    else v->code = NOT_SUPPORTED;
}

int nvmlDeviceGetFieldValues(void *gpu, int count, FieldValue *values) {
    WHOLE(gpu);
    for (int i = 0; i < count; i++) put_field(gpu, &values[i]);
    return OK;
}

/* --- temperature, clocks, why they are slow --- */

int nvmlDeviceGetTemperature(void *gpu, int kind, unsigned *celsius) {
    (void)kind;
    WHOLE(gpu);
    *celsius = (unsigned)lround(temperature_c(board_of(gpu), moment()));
    return OK;
}

int nvmlDeviceGetTemperatureV(void *gpu, TemperatureV *t) {
    WHOLE(gpu);
    t->celsius = (int)lround(temperature_c(board_of(gpu), moment()));
    return OK;
}

static unsigned long long reasons(void *gpu) {
    const Board *b = BOARD(gpu);
    int g = board_of(gpu);
    unsigned long long mask = busy(g, moment()) ? 0 : IDLE;
    for (int i = 0; i < b->throttles; i++)
        if (moment() >= b->throttle[i].a && moment() < b->throttle[i].b) mask |= b->throttle[i].mask;
    if (power_w(g, moment()) > limit_w(gpu)) mask |= POWER_CAP;
    return mask;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, unsigned long long *mask) { WHOLE(gpu); *mask = reasons(gpu); return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *mask) { WHOLE(gpu); *mask = reasons(gpu); return OK; }

int nvmlDeviceGetSupportedClocksEventReasons(void *gpu, unsigned long long *mask) { WHOLE(gpu); *mask = 0x1ff; return OK; }
int nvmlDeviceGetSupportedClocksThrottleReasons(void *gpu, unsigned long long *mask) { WHOLE(gpu); *mask = 0x1ff; return OK; }

#define MEMORY_MHZ 2619u
#define LOW_MHZ 345u
#define HIGH_MHZ 1980u
#define MEMORY_CLOCK 2

static unsigned clock_mhz(void *gpu, int kind) {
    unsigned long long why = reasons(gpu);
    if (kind == MEMORY_CLOCK) return (unsigned)state(gpu, "memory-clock", MEMORY_MHZ);
    unsigned most = (unsigned)state(gpu, "clock", HIGH_MHZ);
    if (why & IDLE) return most < LOW_MHZ ? most : LOW_MHZ;
    return why ? most * 7 / 10 : most;
}

/* Locked clocks change what the clock says, not the power: that is the trace's. */
int nvmlDeviceSetGpuLockedClocks(void *gpu, unsigned low, unsigned high) { (void)low; WHOLE(gpu); return set_state(gpu, "clock", high); }
int nvmlDeviceResetGpuLockedClocks(void *gpu) { WHOLE(gpu); return unset_state(gpu, "clock"); }
int nvmlDeviceSetMemoryLockedClocks(void *gpu, unsigned low, unsigned high) { (void)low; WHOLE(gpu); return set_state(gpu, "memory-clock", high); }
int nvmlDeviceResetMemoryLockedClocks(void *gpu) { WHOLE(gpu); return unset_state(gpu, "memory-clock"); }

static int list_of(const unsigned *from, unsigned n, unsigned *count, unsigned *to) {
    unsigned room = *count;
    *count = n;
    if (room < n || !to) return TOO_SMALL;
    memcpy(to, from, n * sizeof *from);
    return OK;
}

int nvmlDeviceGetSupportedMemoryClocks(void *gpu, unsigned *count, unsigned *to) {
    const unsigned clocks[] = {MEMORY_MHZ, 1593};
    WHOLE(gpu);
    return list_of(clocks, 2, count, to);
}

int nvmlDeviceGetSupportedGraphicsClocks(void *gpu, unsigned memory_mhz, unsigned *count, unsigned *to) {
    const unsigned clocks[] = {HIGH_MHZ, 1500, 1000, LOW_MHZ};
    (void)memory_mhz;
    WHOLE(gpu);
    return list_of(clocks, 4, count, to);
}

int nvmlDeviceGetClockInfo(void *gpu, int kind, unsigned *mhz) { WHOLE(gpu); *mhz = clock_mhz(gpu, kind); return OK; }

int nvmlDeviceGetMaxClockInfo(void *gpu, int kind, unsigned *mhz) {
    WHOLE(gpu);
    *mhz = kind == MEMORY_CLOCK ? MEMORY_MHZ : HIGH_MHZ;
    return OK;
}

int nvmlDeviceGetPerformanceState(void *gpu, int *state) { WHOLE(gpu); *state = busy(board_of(gpu), moment()) ? 0 : 8; return OK; }
int nvmlDeviceGetPowerState(void *gpu, int *state) { return nvmlDeviceGetPerformanceState(gpu, state); }
