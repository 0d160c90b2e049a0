/* target_state.c - the state that a volume has in .decant, which anybody may have written. Input: a state
 * file, a bundle, and orders (orders.h). Half of the time the volume holds the bundle's tree already.
 *
 * Promised, and watched: whatever the state says, nothing beside the volume changes, and exit 0 means that
 * names and metadata are those of the bundle. (What a state that is private to its owner says of contents is
 * believed.) */
#include "target.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "document.h"
#include "hash.h"
#include "orders.h"
#include "volume.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	volume_setup();
	return 0;
}

/* A state of this boot, when its sum was right. */
static uint8_t *refresh(const uint8_t *data, size_t size)
{
	uint8_t *state = arena_copy(data, size);
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (size >= STATE_HEAD && get64(state + 76) == hash64(state, 76) && read(fd, state + 16, 36) == 36)
		put64(state + 76, hash64(state, 76));
	close(fd);
	return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t choice = hash64(data, size);
	size_t state_size = doc_size(data, size), rest = doc_size(data + state_size, size - state_size);
	const uint8_t *bundle = data + state_size, *orders = bundle + rest;
	struct run fill = run_by(COMMAND_FILL, choice), info = run_by(COMMAND_INFO, choice >> 8);
	struct run first = run_of(COMMAND_FILL);
	struct fault fault;

	if (state_size == 0 || rest == 0)
		return -1;
	struct ref *ref = ref_read(bundle, rest);
	bool whole = !ref->wrong && !ref_content(ref);
	volume_reset();
	first.options.setid = true;
	if (choice >> 40 & 1)
		volume_run(&first, bundle, rest, &fault);
	unsigned did = ref->wrong ? 0 : obey(orders, size - state_size - rest, ref);
	if (mkdirat(volume_fd, ".decant", 0700) == 0 || choice >> 41 & 3) {
		uint8_t *state = choice >> 43 & 3 ? refresh(data, state_size) : arena_copy(data, state_size);
		plant(choice >> 45 & 3 ? ".decant/state" : ".decant/journal-00000000000000000000000000000000",
		      state, state_size);
	}
	volume_run(&info, NULL, 0, &fault);
	if (volume_run(&fill, bundle, rest, &fault) == EXIT_DONE)
		check_tree(ref, fill.options.prune != PRUNE_ALL, whole && did == 0);
	else if (whole && ref_hashes(ref) && !ref->flags && ref_is_usual(ref) && did == 0 &&
	         fault.code != EXIT_SPACE)
		broken("exit %d (%s: %s: %s) for a right bundle", fault.code, fault.object, fault.action,
		       fault.reason);
	check_canary();
	arena_reset();
	return 0;
}
