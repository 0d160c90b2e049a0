/* target_fill.c - a whole fill of an empty volume from bytes, and verify, list and info of the same. Input: a
 * bundle. Which options, how many workers, and whether the bytes come as a file or as a pipe follows from
 * the input's hash.
 *
 * Promised, and watched: exit 0 means the tree that the reference reader finds, and no other name; an index
 * that is not valid is refused with 10 and the volume untouched; a valid bundle is filled; nothing beside the
 * volume changes. */
#include "target.h"

#include "hash.h"
#include "volume.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	volume_setup();
	return 0;
}

/* What fill said, against what it did. VALID: the index is, and its options are given; WHOLE: the frames are.
 */
static void judge_fill(enum exit_code code, const struct fault *fault, const struct ref *ref, bool valid,
                       bool whole, bool touched)
{
	if (!valid && (code != EXIT_BUNDLE || touched))
		broken("exit %d (%s), %s, for a bundle that is wrong: %s", code, fault->reason,
		       touched ? "touched" : "untouched", ref->wrong ? ref->wrong : "setid");
	/* What no file system takes may be met before the bad frame. */
	if (valid && !whole && code != EXIT_BUNDLE && code != EXIT_SPACE && ref_is_usual(ref))
		broken("exit %d (%s) for a bundle with a bad frame", code, fault->reason);
	if (valid && whole && code != EXIT_DONE && code != EXIT_SPACE && ref_is_usual(ref))
		broken("exit %d (%s: %s: %s) for a right bundle", code, fault->object, fault->action,
		       fault->reason);
	if (code == EXIT_DONE)
		check_tree(ref, false, true);
}

static void show(const uint8_t *data, size_t size, uint64_t choice, bool right)
{
	struct run list = run_by(COMMAND_LIST, choice), info = run_by(COMMAND_INFO, choice);
	struct fault fault;

	info.stream = list.stream;
	if ((volume_run(&list, data, size, &fault) == EXIT_DONE) != right)
		broken("list: exit %d (%s)", fault.code, fault.reason);
	if ((volume_run(&info, data, size, &fault) == EXIT_DONE) != right)
		broken("info: exit %d (%s)", fault.code, fault.reason);
	volume_run(&info, NULL, 0, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t choice = hash64(data, size);
	struct run fill = run_by(COMMAND_FILL, choice), verify = run_by(COMMAND_VERIFY, choice >> 8);
	struct ref *ref = ref_read(data, size);
	/* Of a pipe, how long it is shows only in the end. */
	bool known = !ref->wrong || (ref->cut && fill.stream),
	     valid = known && (ref->flags == 0 || fill.options.setid);
	bool whole = !ref->wrong && !ref_content(ref) && ref_hashes(ref);
	struct fault fault;

	volume_reset();
	uint64_t before = volume_state(volume_fd, true);
	enum exit_code code = volume_run(&fill, data, size, &fault);
	judge_fill(code, &fault, ref, valid, whole, volume_state(volume_fd, true) != before);
	show(data, size, choice, known);

	enum exit_code verified = volume_run(&verify, data, size, &fault);
	if (ref->wrong && verified != EXIT_BUNDLE && !(ref->cut && verify.stream))
		broken("verify: exit %d (%s) for a wrong bundle", verified, fault.reason);
	if (code == EXIT_DONE) {
		if (verified != EXIT_DONE)
			broken("verify: exit %d (%s)", verified, fault.reason);
		/* Once more: nothing is to be done. */
		before = volume_state(volume_fd, true);
		if (volume_run(&fill, data, size, &fault) != EXIT_DONE ||
		    volume_state(volume_fd, true) != before)
			broken("the second fill: exit %d (%s)", fault.code, fault.reason);
	}
	check_canary();
	arena_reset();
	return 0;
}
