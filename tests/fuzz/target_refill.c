/* target_refill.c - a fill of a volume that holds an older release, at which somebody has been meanwhile.
 * Input: the older bundle, the newer one, and orders (orders.h).
 *
 * Promised, and watched: exit 0 means the newer tree; the older one stays as it was when the newer bundle's
 * index is wrong, or one of its frames; a right bundle is filled whatever was planted in the tree; nothing
 * beside the volume changes, wherever planted links lead. */
#include "target.h"

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

/* Where hashes lie, which no packer but a broken one makes, a fill may leave a file that has the right hash.
 * No such bundle is ever filled, so that it is the newer one alone that counts. */
static bool is_honest(struct ref *ref)
{
	return ref->wrong || ref_content(ref) || ref_hashes(ref);
}

static void judge(const struct run *run, const struct fault *fault, struct ref *new, unsigned did,
                  bool untouched, bool whole_before, bool honest)
{
	enum exit_code code = fault->code;
	bool known = !new->wrong || (new->cut && run->stream),
	     valid = known && (new->flags == 0 || run->options.setid);
	bool whole = valid && !new->wrong && !ref_content(new);
	bool exact = run->options.prune == PRUNE_ALL ||
	             (run->options.prune == PRUNE_MANAGED && did == 0 && whole_before);

	if (!valid && (code != EXIT_BUNDLE || !untouched))
		broken("exit %d (%s), %s, for a bundle that is wrong: %s", code, fault->reason,
		       untouched ? "untouched" : "touched", new->wrong ? new->wrong : "setid");
	/* Without its state a volume whose tree is empty is a new one. */
	if (code == EXIT_BUNDLE && !untouched && whole_before && !(did & DID_STATE))
		broken("a frame is wrong, and the tree was changed");
	if (whole && ref_hashes(new) && code != EXIT_DONE && code != EXIT_SPACE && !(did & DID_STATE) &&
	    ref_is_usual(new))
		broken("exit %d (%s: %s: %s) for a right bundle", code, fault->object, fault->action,
		       fault->reason);
	if (code == EXIT_DONE)
		check_tree(new, !exact, whole && honest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t choice = hash64(data, size);
	size_t old_size = doc_size(data, size), new_size = doc_size(data + old_size, size - old_size);
	const uint8_t *new_data = data + old_size, *orders = new_data + new_size;
	struct run fill = run_by(COMMAND_FILL, choice), first = run_of(COMMAND_FILL);
	struct run verify = run_by(COMMAND_VERIFY, choice >> 8);
	struct fault fault;

	if (old_size == 0 || new_size == 0)
		return -1;
	struct ref *old = ref_read(data, old_size), *new = ref_read(new_data, new_size);
	bool honest = is_honest(new);
	volume_reset();
	first.options.setid = true;
	first.workers = fill.workers;
	bool whole = volume_run(&first, data, old_size, &fault) == EXIT_DONE;
	unsigned did = old->wrong ? 0 : obey(orders, size - old_size - new_size, old);
	uint64_t before = volume_state(volume_fd, true);

	volume_run(&fill, new_data, new_size, &fault);
	judge(&fill, &fault, new, did, volume_state(volume_fd, true) == before, whole, honest);
	bool done = fault.code == EXIT_DONE;
	verify.options.extra = fill.options.prune == PRUNE_ALL;
	volume_run(&verify, new_data, new_size, &fault);
	if (done && honest && !new->wrong && !ref_content(new) && fault.code != EXIT_DONE)
		broken("verify: exit %d (%s)", fault.code, fault.reason);
	check_canary();
	arena_reset();
	return 0;
}
