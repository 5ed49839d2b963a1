/*
 * Shifts the clocks of a process that preloads this library: the time of day and the time since
 * boot, each by its own offset. CLOCK_MONOTONIC is not changed, so both offsets together simulate a
 * machine that was suspended.
 *
 * The environment variable SHIFTED_CLOCKS names the file with the offsets. The file is mapped, so a
 * test moves the clocks of a running process by writing to it, in tests/it/clocks/shift.rs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In seconds, except naps, which is a count. */
struct shift {
    _Atomic int64_t time_of_day;
    _Atomic int64_t since_boot;
    /* How long the machine is suspended after each of the next naps readings of CLOCK_BOOTTIME. */
    _Atomic int64_t nap;
    _Atomic int64_t naps;
};

static struct shift none;
static struct shift *shift = &none;

__attribute__((constructor)) static void map(void) {
    const char *path = getenv("SHIFTED_CLOCKS");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        abort();
    void *mapped = mmap(NULL, sizeof(*shift), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort();
    shift = mapped;
    close(file);
}

static void nap(void) {
    int64_t left = atomic_load(&shift->naps);
    while (left > 0 && !atomic_compare_exchange_weak(&shift->naps, &left, left - 1))
        ;
    if (left > 0) {
        int64_t length = atomic_load(&shift->nap);
        atomic_fetch_add(&shift->since_boot, length);
        atomic_fetch_add(&shift->time_of_day, length);
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (failed)
        return failed;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        time->tv_sec += atomic_load(&shift->time_of_day);
    } else if (clock == CLOCK_BOOTTIME) {
        time->tv_sec += atomic_load(&shift->since_boot);
        nap();
    }
    return 0;
}
