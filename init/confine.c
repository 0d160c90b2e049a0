#include "confine.h"

#include <elf.h>
#include <limits.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3, Linux 6.2 */
#endif

/* landlock(7): what can be governed by ABI 2, and what a fill does in a volume. */
static const uint64_t governed =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
static const uint64_t needed =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

/* capabilities(7): what gives files their owners, modes and attributes, whoever owns them and their
 * directories. None of these leads out of the volume. */
static const uint32_t needed_capabilities =
    1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID | 1u << CAP_SETFCAP;
_Static_assert(CAP_SETFCAP < 32, "all that is needed is in the first word");

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, sets) != 0)
		return;
	sets[0].effective &= needed_capabilities;
	sets[0].permitted &= needed_capabilities;
	sets[0].inheritable = 0;
	sets[1] = (struct __user_cap_data_struct){0};
	syscall(SYS_capset, &head, sets);
}

/* Close what the parent left open: all from 3 on but what is in KEPT. */
static void close_others(const int *kept, size_t count)
{
	for (unsigned from = 3; from <= INT_MAX;) {
		unsigned next = (unsigned)INT_MAX + 1;
		for (size_t i = 0; i < count; i++)
			if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
				next = (unsigned)kept[i];
		if (next > from)
			syscall(SYS_close_range, from, next - 1, 0);
		from = next + 1;
	}
}

static void restrict_files(const int *roots, size_t count)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 2) /* ABI 1 forbids every rename from one directory to another */
		return;
	uint64_t truncate = abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
	struct landlock_ruleset_attr rules = {.handled_access_fs = governed | truncate};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
	if (fd < 0)
		return;
	bool whole = true;
	for (size_t i = 0; i < count; i++) {
		struct landlock_path_beneath_attr rule = {.allowed_access = needed | truncate,
		                                          .parent_fd = roots[i]};
		whole =
		    whole && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	}
	if (whole)
		syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

void confine_relocated(void)
{
	/* ld sets it to where the program begins, elf(5). */
	extern const char __ehdr_start[] /* NOLINT(bugprone-reserved-identifier): that is its name */
	    __attribute__((visibility("hidden")));
	const ElfW(Phdr) *p = (const void *)getauxval(AT_PHDR);
	uintptr_t page = (uintptr_t)getauxval(AT_PAGESZ), base = (uintptr_t)__ehdr_start;

	for (unsigned long n = p ? getauxval(AT_PHNUM) : 0; n > 0; n--, p++) {
		uintptr_t from = (base + p->p_vaddr) & -page, to = (base + p->p_vaddr + p->p_memsz) & -page;
		if (p->p_type == PT_GNU_RELRO && to > from)
			mprotect((void *)from, to - from, PROT_READ);
	}
}

void confine(const int *kept, size_t count, size_t roots)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	close_others(kept, count);
	drop_capabilities();
	restrict_files(kept, roots);
}
