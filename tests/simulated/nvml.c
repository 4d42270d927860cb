/* A GPU that exists only as arithmetic: libnvidia-ml.so.1 with a power trace known in closed form.
 *
 * SIMULATED_NVML names a text file, read at nvmlInit:
 *   t0_ns N              CLOCK_MONOTONIC at trace time 0
 *   gpus N               how many, all alike but for their UUID
 *   idle_w W             power with nothing running
 *   tick_s S             the energy counter publishes its value at multiples of this
 *   const A B W          W watts more from A to B seconds
 *   square A B W T D     W watts more for the share D of every T seconds from A to B
 *   fault NAME A B CODE  functions whose name ends in NAME return CODE from A to B seconds
 *   freeze A             the counter keeps its value from A on
 *   zero                 the counter is always 0
 *   reset A              the counter starts again from 0 at A
 *   call_s S             every call takes this long
 * Every process that loads it sees the same hardware, since all is a function of the clock.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MANY 64
#define OK 0
#define INVALID 2
#define NOT_FOUND 6
#define TOO_SMALL 7
#define BASE_J 1000000.0 /* the counter runs since the driver was loaded, not since our t0 */

typedef struct { double a, b, watts, period, duty; } Segment;
typedef struct { char name[64]; double a, b; int code; } Fault;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned version; int kind, celsius; } TemperatureV;

static struct {
    double t0_ns, idle_w, tick_s, freeze_at, reset_at, call_s;
    int gpus, zero, segments, faults;
    Segment segment[MANY];
    Fault fault[MANY];
} world;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (t.tv_sec * 1e9 + t.tv_nsec - world.t0_ns) / 1e9;
}

static void read_line(const char *line) {
    char word[64];
    Segment s = {0, 0, 0, 1, 1};
    Fault f;
    if (sscanf(line, "%63s", word) != 1) return;
    sscanf(line, "t0_ns %lf", &world.t0_ns);
    sscanf(line, "gpus %d", &world.gpus);
    sscanf(line, "idle_w %lf", &world.idle_w);
    sscanf(line, "tick_s %lf", &world.tick_s);
    sscanf(line, "freeze %lf", &world.freeze_at);
    sscanf(line, "reset %lf", &world.reset_at);
    sscanf(line, "call_s %lf", &world.call_s);
    if (!strcmp(word, "zero")) world.zero = 1;
    if (world.segments < MANY
        && (sscanf(line, "const %lf %lf %lf", &s.a, &s.b, &s.watts) == 3
            || sscanf(line, "square %lf %lf %lf %lf %lf", &s.a, &s.b, &s.watts, &s.period, &s.duty) == 5))
        world.segment[world.segments++] = s;
    if (world.faults < MANY && sscanf(line, "fault %63s %lf %lf %d", f.name, &f.a, &f.b, &f.code) == 4)
        world.fault[world.faults++] = f;
}

static int read_world(void) {
    char line[256];
    const char *path = getenv("SIMULATED_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return 9; /* driver not loaded */
    memset(&world, 0, sizeof world);
    world.gpus = 1;
    world.tick_s = 0.1;
    world.freeze_at = world.reset_at = INFINITY;
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    return OK;
}

static double clamp(double t, double a, double b) { return t < a ? a : t > b ? b : t; }

static double on_s(const Segment *s, double t) {
    double x = clamp(t, s->a, s->b) - s->a, whole = floor(x / s->period);
    return s->period * s->duty * whole + fmin(x - whole * s->period, s->period * s->duty);
}

static double energy_j(double t) {
    double joules = world.idle_w * t;
    for (int i = 0; i < world.segments; i++) joules += world.segment[i].watts * on_s(&world.segment[i], t);
    return joules;
}

static double power_w(double t) {
    double watts = world.idle_w;
    for (int i = 0; i < world.segments; i++) {
        const Segment *s = &world.segment[i];
        if (t >= s->a && t < s->b && fmod(t - s->a, s->period) < s->period * s->duty) watts += s->watts;
    }
    return watts;
}

static int enter(const char *name) {
    double t = now();
    size_t length = strlen(name);
    struct timespec pause = {(time_t)world.call_s, (long)(fmod(world.call_s, 1) * 1e9)};
    if (world.call_s > 0) nanosleep(&pause, NULL);
    for (int i = 0; i < world.faults; i++) {
        const Fault *f = &world.fault[i];
        size_t tail = strlen(f->name);
        if (t >= f->a && t < f->b && tail <= length && !strcmp(name + length - tail, f->name)) return f->code;
    }
    return OK;
}

#define ENTER() do { int code_ = enter(__func__); if (code_) return code_; } while (0)

int nvmlInitWithFlags(unsigned flags) { (void)flags; int code = read_world(); return code ? code : enter(__func__); }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case 0: return "Success";
    case 2: return "Invalid Argument";
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";
    case 9: return "Driver Not Loaded";
    case 10: return "Timeout";
    case 15: return "GPU is lost";
    default: return "Unknown Error";
    }
}

static int put(char *to, unsigned size, const char *text) {
    if (strlen(text) >= size) return TOO_SMALL;
    strcpy(to, text);
    return OK;
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) { ENTER(); return put(to, size, "000.00"); }
int nvmlDeviceGetCount_v2(unsigned *count) { ENTER(); *count = (unsigned)world.gpus; return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    ENTER();
    if ((int)index >= world.gpus) return INVALID;
    *handle = (void *)(size_t)(index + 1);
    return OK;
}

static void uuid(size_t number, char *to) { sprintf(to, "GPU-00000000-0000-0000-0000-%012zu", number); }

int nvmlDeviceGetHandleByUUID(const char *wanted, void **handle) {
    char text[64];
    ENTER();
    for (int i = 1; i <= world.gpus; i++) {
        uuid((size_t)i, text);
        if (!strcmp(text, wanted)) { *handle = (void *)(size_t)i; return OK; }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *gpu, char *to, unsigned size) {
    char text[64];
    ENTER();
    uuid((size_t)gpu, text);
    return put(to, size, text);
}

int nvmlDeviceGetName(void *gpu, char *to, unsigned size) { (void)gpu; ENTER(); return put(to, size, "Simulated GPU"); }

int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *millijoules) {
    (void)gpu;
    ENTER();
    double t = fmin(now(), world.freeze_at), tick = world.tick_s * floor(t / world.tick_s);
    double joules = tick >= world.reset_at ? energy_j(tick) - energy_j(world.reset_at) : BASE_J + energy_j(tick);
    *millijoules = world.zero ? 0 : (unsigned long long)llround(joules * 1000);
    return OK;
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts) {
    (void)gpu;
    ENTER();
    *milliwatts = (unsigned)llround(power_w(now()) * 1000);
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *gpu, Rates *rates) {
    (void)gpu;
    ENTER();
    rates->gpu = power_w(now()) > world.idle_w ? 100 : 0;
    rates->memory = 0;
    return OK;
}

int nvmlDeviceGetTemperature(void *gpu, int kind, unsigned *celsius) {
    (void)gpu; (void)kind;
    ENTER();
    *celsius = 40;
    return OK;
}

int nvmlDeviceGetTemperatureV(void *gpu, TemperatureV *t) { (void)gpu; ENTER(); t->celsius = 40; return OK; }

int nvmlDeviceGetMemoryInfo(void *gpu, Memory *m) {
    (void)gpu;
    ENTER();
    m->total = 16ULL << 30; m->used = 1ULL << 30; m->free = m->total - m->used;
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *gpu, MemoryV2 *m) {
    (void)gpu;
    ENTER();
    m->total = 16ULL << 30; m->reserved = 0; m->used = 1ULL << 30; m->free = m->total - m->used;
    return OK;
}

static int limit(unsigned *milliwatts) { *milliwatts = 700000; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(void *gpu, unsigned *mw) { (void)gpu; ENTER(); return limit(mw); }
int nvmlDeviceGetPowerManagementLimit(void *gpu, unsigned *mw) { (void)gpu; ENTER(); return limit(mw); }
int nvmlDeviceGetComputeMode(void *gpu, int *mode) { (void)gpu; ENTER(); *mode = 0; return OK; }
int nvmlDeviceGetMigMode(void *gpu, unsigned *now_, unsigned *next) { (void)gpu; (void)now_; (void)next; ENTER(); return 3; }

static int nobody(unsigned *count) { *count = 0; return OK; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *n, void *to) { (void)gpu; (void)to; ENTER(); return nobody(n); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *gpu, unsigned *n, void *to) { (void)gpu; (void)to; ENTER(); return nobody(n); }
