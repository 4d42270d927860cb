/* nvidia-smi on the simulated library beside it: --help, -L, --query-gpu, --query-compute-apps, -l, -lms, -pl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } ProcessInfo;
typedef struct { unsigned field, scope; long long timestamp, latency; unsigned kind, code; unsigned long long value; } FieldValue;

int nvmlInit_v2(void);
const char *nvmlErrorString(int);
int nvmlSystemGetDriverVersion(char *, unsigned);
int nvmlSystemGetProcessName(unsigned, char *, unsigned);
int nvmlDeviceGetCount_v2(unsigned *);
int nvmlDeviceGetHandleByIndex_v2(unsigned, void **);
int nvmlDeviceGetUUID(void *, char *, unsigned);
int nvmlDeviceGetName(void *, char *, unsigned);
int nvmlDeviceGetPowerUsage(void *, unsigned *);
int nvmlDeviceGetFieldValues(void *, int, FieldValue *);
int nvmlDeviceGetTemperature(void *, int, unsigned *);
int nvmlDeviceGetUtilizationRates(void *, Rates *);
int nvmlDeviceGetMemoryInfo(void *, Memory *);
int nvmlDeviceGetClockInfo(void *, int, unsigned *);
int nvmlDeviceGetPerformanceState(void *, int *);
int nvmlDeviceGetPowerManagementLimit(void *, unsigned *);
int nvmlDeviceGetEnforcedPowerLimit(void *, unsigned *);
int nvmlDeviceGetPowerManagementDefaultLimit(void *, unsigned *);
int nvmlDeviceGetPowerManagementLimitConstraints(void *, unsigned *, unsigned *);
int nvmlDeviceSetPowerManagementLimit(void *, unsigned);
int nvmlDeviceGetMigMode(void *, unsigned *, unsigned *);
int nvmlDeviceGetCurrentClocksThrottleReasons(void *, unsigned long long *);
int nvmlDeviceGetComputeRunningProcesses_v3(void *, unsigned *, ProcessInfo *);
double simulated_smi_s(void);

#define FAILED "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. " \
    "Make sure that the latest NVIDIA driver is installed and running.\n"
#define MIB 1048576ULL

static struct { char query[1024]; const char *id; int apps, header, units; double every_s; } asked = {.header = 1, .units = 1};

typedef struct { const char *name, *unit; } Field;
static const Field FIELDS[] = {
    {"power.draw", "W"}, {"power.draw.average", "W"}, {"power.draw.instant", "W"}, {"temperature.gpu", ""},
    {"utilization.gpu", "%"}, {"utilization.memory", "%"}, {"memory.used", "MiB"}, {"memory.total", "MiB"},
    {"memory.free", "MiB"}, {"uuid", ""}, {"gpu_uuid", ""}, {"name", ""}, {"gpu_name", ""}, {"pstate", ""}, {"index", ""},
    {"count", ""}, {"driver_version", ""}, {"timestamp", ""}, {"clocks.sm", "MHz"}, {"clocks.current.sm", "MHz"},
    {"clocks.gr", "MHz"}, {"clocks.current.graphics", "MHz"}, {"clocks.mem", "MHz"}, {"clocks.current.memory", "MHz"},
    {"power.limit", "W"}, {"enforced.power.limit", "W"}, {"power.default_limit", "W"}, {"power.min_limit", "W"},
    {"power.max_limit", "W"}, {"mig.mode.current", ""}, {"clocks_throttle_reasons.active", ""},
    {"clocks_event_reasons.active", ""}, {"fan.speed", "%"}, {"pid", ""}, {"process_name", ""}, {"used_memory", "MiB"},
    {"used_gpu_memory", "MiB"},
};

static const Field *field(const char *name) {
    for (unsigned i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        if (!strcmp(FIELDS[i].name, name)) return &FIELDS[i];
    return NULL;
}

static int begins(const char *text, const char *start) { return !strncmp(text, start, strlen(start)); }

static int power_field(void *gpu, unsigned id, double *watts) {
    FieldValue v = {.field = id};
    int code = nvmlDeviceGetFieldValues(gpu, 1, &v);
    *watts = (double)(v.value & 0xffffffffu) / 1000;
    return code ? code : (int)v.code;
}

/* Fields in watts. */
static int watts_of(void *gpu, const char *name, double *watts) {
    unsigned mw = 0, low = 0, high = 0;
    int code;
    if (!strcmp(name, "power.draw.average")) return power_field(gpu, 185, watts);
    if (!strcmp(name, "power.draw.instant")) return power_field(gpu, 186, watts);
    if (!strcmp(name, "power.draw")) code = nvmlDeviceGetPowerUsage(gpu, &mw);
    else if (!strcmp(name, "power.limit")) code = nvmlDeviceGetPowerManagementLimit(gpu, &mw);
    else if (!strcmp(name, "enforced.power.limit")) code = nvmlDeviceGetEnforcedPowerLimit(gpu, &mw);
    else if (!strcmp(name, "power.default_limit")) code = nvmlDeviceGetPowerManagementDefaultLimit(gpu, &mw);
    else {
        code = nvmlDeviceGetPowerManagementLimitConstraints(gpu, &low, &high);
        mw = !strcmp(name, "power.min_limit") ? low : high;
    }
    *watts = mw / 1000.0;
    return code;
}

/* Fields that are whole numbers; -1: not one of them. */
static int number_of(void *gpu, const char *name, unsigned long long *n) {
    Rates rates = {0, 0};
    Memory memory = {0, 0, 0};
    unsigned u = 0;
    int code;
    if (begins(name, "utilization")) {
        code = nvmlDeviceGetUtilizationRates(gpu, &rates);
        *n = !strcmp(name, "utilization.gpu") ? rates.gpu : rates.memory;
    } else if (begins(name, "memory.")) {
        code = nvmlDeviceGetMemoryInfo(gpu, &memory);
        *n = (!strcmp(name, "memory.used") ? memory.used : !strcmp(name, "memory.free") ? memory.free : memory.total) / MIB;
    } else if (!strcmp(name, "temperature.gpu")) {
        code = nvmlDeviceGetTemperature(gpu, 0, &u);
        *n = u;
    } else if (begins(name, "clocks.")) {
        code = nvmlDeviceGetClockInfo(gpu, strstr(name, "mem") ? 2 : 1, &u);
        *n = u;
    } else if (!strcmp(name, "count")) {
        code = nvmlDeviceGetCount_v2(&u);
        *n = u;
    } else return -1;
    return code;
}

static void timestamp(char *to, size_t size) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t n = strftime(to, size, "%Y/%m/%d %H:%M:%S", &parts);
    snprintf(to + n, size - n, ".%03ld", now.tv_nsec / 1000000);
}

static int text_of(void *gpu, unsigned index, const char *name, char *to, unsigned size) {
    int state = 0, code = 0;
    unsigned now = 0, next = 0;
    unsigned long long mask = 0;
    if (!strcmp(name, "uuid") || !strcmp(name, "gpu_uuid")) return nvmlDeviceGetUUID(gpu, to, size);
    if (!strcmp(name, "name") || !strcmp(name, "gpu_name")) return nvmlDeviceGetName(gpu, to, size);
    if (!strcmp(name, "driver_version")) return nvmlSystemGetDriverVersion(to, size);
    if (!strcmp(name, "timestamp")) timestamp(to, size);
    else if (!strcmp(name, "index")) snprintf(to, size, "%u", index);
    else if (!strcmp(name, "pstate")) {
        code = nvmlDeviceGetPerformanceState(gpu, &state);
        snprintf(to, size, "P%d", state);
    } else if (!strcmp(name, "mig.mode.current")) {
        code = nvmlDeviceGetMigMode(gpu, &now, &next);
        snprintf(to, size, "%s", now ? "Enabled" : "Disabled");
    } else if (strstr(name, "reasons")) {
        code = nvmlDeviceGetCurrentClocksThrottleReasons(gpu, &mask);
        snprintf(to, size, "0x%016llX", mask);
    } else code = 3;
    return code;
}

static void print_value(void *gpu, unsigned index, const Field *f) {
    char text[256] = "";
    double watts = 0;
    unsigned long long n = 0;
    const char *gap = asked.units && f->unit[0] ? " " : "", *unit = asked.units ? f->unit : "";
    int code = strcmp(f->unit, "W") ? number_of(gpu, f->name, &n) : watts_of(gpu, f->name, &watts);
    int is_text = code < 0;
    if (is_text) code = text_of(gpu, index, f->name, text, sizeof text);
    if (code == 3) fputs("[N/A]", stdout);
    else if (code == 15) fputs("[GPU is lost]", stdout);
    else if (code) fputs("[Unknown Error]", stdout);
    else if (is_text) fputs(text, stdout);
    else if (!strcmp(f->unit, "W")) printf("%.2f%s%s", watts, gap, unit);
    else printf("%llu%s%s", n, gap, unit);
}

static void print_app(void *gpu, const ProcessInfo *p, const Field *f) {
    char text[256] = "[Not Found]";
    if (!strcmp(f->name, "pid")) printf("%u", p->pid);
    else if (begins(f->name, "used")) printf(asked.units ? "%llu MiB" : "%llu", p->bytes / MIB);
    else if (!strcmp(f->name, "process_name")) { nvmlSystemGetProcessName(p->pid, text, sizeof text); fputs(text, stdout); }
    else print_value(gpu, 0, f);
}

static int columns(const Field **to) {
    int n = 0;
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", asked.query);
    for (char *name = strtok(copy, ", "); name && n < 64; name = strtok(NULL, ", ")) {
        to[n] = field(name);
        if (!to[n++]) { printf("Field \"%s\" is not a valid field to query.\n\n", name); return -1; }
    }
    return n;
}

static void print_header(const Field **list, int n) {
    for (int i = 0; i < n; i++) {
        printf("%s%s", i ? ", " : "", list[i]->name);
        if (asked.units && list[i]->unit[0]) printf(" [%s]", list[i]->unit);
    }
    putchar('\n');
}

static void print_apps(void *gpu, const Field **list, int n) {
    ProcessInfo found[256];
    unsigned count = 256;
    if (nvmlDeviceGetComputeRunningProcesses_v3(gpu, &count, found)) return;
    for (unsigned p = 0; p < count; p++)
        for (int i = 0; i < n; i++) {
            print_app(gpu, &found[p], list[i]);
            fputs(i == n - 1 ? "\n" : ", ", stdout);
        }
}

static void print_gpu(void *gpu, unsigned index, const Field **list, int n) {
    for (int i = 0; i < n; i++) {
        print_value(gpu, index, list[i]);
        fputs(i == n - 1 ? "\n" : ", ", stdout);
    }
}

static int chosen(void *gpu, unsigned index) {
    char uuid[96] = "", number[16];
    if (!asked.id) return 1;
    snprintf(number, sizeof number, "%u", index);
    nvmlDeviceGetUUID(gpu, uuid, sizeof uuid);
    return !strcmp(asked.id, number) || !strcmp(asked.id, uuid);
}

/* Each chosen GPU to `show`; nvidia-smi's own exit code. */
static int each(void (*show)(void *, unsigned, const Field **, int), const Field **list, int n) {
    unsigned count = 0;
    int code = nvmlDeviceGetCount_v2(&count);
    for (unsigned i = 0; !code && i < count; i++) {
        void *gpu;
        code = nvmlDeviceGetHandleByIndex_v2(i, &gpu);
        if (code) printf("Unable to determine the device handle for GPU%u: %s\n", i, nvmlErrorString(code));
        else if (chosen(gpu, i)) show(gpu, i, list, n);
    }
    if (!code && !count) { puts("No devices were found"); return 6; }
    return code;
}

static void show_line(void *gpu, unsigned index, const Field **list, int n) {
    char name[96] = "", uuid[96] = "";
    (void)list; (void)n;
    nvmlDeviceGetName(gpu, name, sizeof name);
    nvmlDeviceGetUUID(gpu, uuid, sizeof uuid);
    printf("GPU %u: %s (UUID: %s)\n", index, name, uuid);
}

static void show_apps(void *gpu, unsigned index, const Field **list, int n) { (void)index; print_apps(gpu, list, n); }

static unsigned limit_mw;

static void show_limit(void *gpu, unsigned index, const Field **list, int n) {
    (void)list; (void)n;
    int code = nvmlDeviceSetPowerManagementLimit(gpu, limit_mw);
    if (code) printf("Setting power limit for GPU %u failed: %s\n", index, nvmlErrorString(code));
    else printf("Power limit for GPU %u was set to %.2f W.\n", index, limit_mw / 1000.0);
}

static void wait_s(double seconds) {
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (seconds > 0) nanosleep(&pause, NULL);
}

static int query(void) {
    const Field *list[64];
    int n = columns(list), code;
    if (n < 0) return 2;
    if (asked.header) print_header(list, n);
    do {
        code = each(asked.apps ? show_apps : print_gpu, list, n);
        fflush(stdout);
        wait_s(asked.every_s);
    } while (!code && asked.every_s > 0);
    return code;
}

static int set_query(const char *argument) {
    const char *value = strchr(argument, '=');
    if (begins(argument, "--format=")) {
        asked.header = !strstr(argument, "noheader");
        asked.units = !strstr(argument, "nounits");
    } else if (begins(argument, "--query-gpu=") || begins(argument, "--query-compute-apps=")) {
        asked.apps = begins(argument, "--query-compute-apps=");
        snprintf(asked.query, sizeof asked.query, "%s", value + 1);
    } else if (begins(argument, "--id=")) asked.id = value + 1;
    else if (begins(argument, "--loop=")) asked.every_s = atof(value + 1);
    else if (begins(argument, "--loop-ms=")) asked.every_s = atof(value + 1) / 1000;
    else return 0;
    return 1;
}

int main(int argc, char **argv) {
    int list = 0;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) { puts("NVIDIA System Management Interface -- simulated 1.0"); return 0; }
        if (!strcmp(argv[i], "-L") || !strcmp(argv[i], "--list-gpus")) list = 1;
        else if (!strcmp(argv[i], "-i")) { asked.id = next; i++; }
        else if (!strcmp(argv[i], "-l")) { asked.every_s = atof(next); i++; }
        else if (!strcmp(argv[i], "-lms")) { asked.every_s = atof(next) / 1000; i++; }
        else if (!strcmp(argv[i], "-pl")) { limit_mw = (unsigned)(atof(next) * 1000); i++; }
        else if (!set_query(argv[i])) { printf("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n"); return 1; }
    }
    if (nvmlInit_v2()) { fputs(FAILED, stdout); return 9; }
    wait_s(simulated_smi_s());
    if (limit_mw) return each(show_limit, NULL, 0);
    if (asked.query[0]) return query();
    if (!list) puts("NVIDIA-SMI simulated 1.0");
    return each(show_line, NULL, 0);
}
