/* A plugin for QEMU's user-mode emulation: counts the guest's instructions, and writes the count to stderr at each getppid() and at
 * the end. Debian packages no header for plugins, so what is used of it is declared here; PLUGIN_VERSION is the version of the
 * interface, which `cargo xtask bench --emulated` passes. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))
/* The number of getppid on AArch64. */
#define GETPPID 173

typedef uint64_t id;
struct block;
enum { NO_REGISTERS };

void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
size_t qemu_plugin_tb_n_insns(const struct block *);
void qemu_plugin_register_atexit_cb(id, void (*)(id, void *), void *);
void qemu_plugin_register_vcpu_syscall_cb(id, void (*)(id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                       uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

static uint64_t count;

static void write_count(void) { fprintf(stderr, "COUNT %" PRIu64 "\n", __atomic_load_n(&count, __ATOMIC_RELAXED)); }

static void executed(unsigned cpu, void *instructions) {
    (void)cpu;
    __atomic_fetch_add(&count, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void translated(id plugin, struct block *block) {
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, NO_REGISTERS, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void called(id plugin, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                   uint64_t g, uint64_t h) {
    (void)plugin, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == GETPPID)
        write_count();
}

static void ended(id plugin, void *data) {
    (void)plugin, (void)data;
    write_count();
}

EXPORT int qemu_plugin_install(id plugin, const void *info, int arguments, char **values) {
    (void)info, (void)arguments, (void)values;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_vcpu_syscall_cb(plugin, called);
    qemu_plugin_register_atexit_cb(plugin, ended, NULL);
    return 0;
}
