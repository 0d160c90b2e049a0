/* damage.c - every single way to damage a small bundle, one after the other, and what decant makes of it.
 *
 *     damage bits|cuts fill|pipe|refill|verify STEP BUNDLE OLDER
 *
 * bits: each STEP-th bit is flipped; cuts: only so many bytes are there, for each STEP-th number below the
 * bundle's size. fill and pipe: an empty volume. refill: one that holds OLDER. verify: one that holds the
 * bundle, and one that holds OLDER.
 *
 * Aborts when a tree is wrong after exit 0, when damage is answered with anything but 10, when a volume is
 * touched although the index shows the damage, or an older tree is not as it was, and when something beside
 * the volume changes. A flipped bit of zstd's own coding may mean nothing: that counts as harmless when the
 * tree is right. The last line says how many there were of each kind. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "document.h"
#include "volume.h"

enum { LARGEST = 1 << 20 };

static struct {
	uint8_t *good, *bad, *older;
	size_t size, older_size, index_end;
	struct ref *ref, *older_ref;
	bool cuts;
	unsigned long at; /* the damage in hand */
	unsigned long refused, harmless, different;
} d;

static size_t read_file(const char *name, uint8_t *to)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, LARGEST);

	if (n <= 0)
		broken("%s: cannot be read", name);
	close(fd);
	return (size_t)n;
}

/* Which damage it was that ended this. */
static void tell(int number)
{
	dprintf(broken_fd, "damage: %s %lu\n", d.cuts ? "cut" : "bit", d.at);
	signal(number, SIG_DFL);
	raise(number);
}

static void expect(bool right, const char *what, const struct fault *fault)
{
	if (!right)
		broken("%s: exit %d: %s: %s: %s", what, fault->code, fault->object, fault->action,
		       fault->reason);
}

/* The damaged bundle; its size. */
static size_t spoil(void)
{
	memcpy(d.bad, d.good, d.size);
	if (d.cuts)
		return d.at;
	d.bad[d.at / 8] ^= (uint8_t)(1u << d.at % 8);
	return d.size;
}

static void fill_with(const uint8_t *bundle, size_t size, const struct ref *ref)
{
	struct run run = run_of(COMMAND_FILL);
	struct fault fault;

	expect(volume_run(&run, bundle, size, &fault) == EXIT_DONE, "a good bundle", &fault);
	check_tree(ref, false, true);
}

static void try_fill(const struct run *run)
{
	struct fault fault;
	size_t size = spoil();

	volume_reset();
	uint64_t before = volume_state(volume_fd, true);
	enum exit_code code = volume_run(run, d.bad, size, &fault);
	bool untouched =
	    volume_state(volume_fd, true) == before && faccessat(volume_fd, ".decant", F_OK, 0) != 0;
	bool in_index = d.cuts ? d.at < d.index_end || !run->stream : d.at / 8 < d.index_end;
	check_canary();
	if (code == EXIT_DONE) {
		expect(!d.cuts, "a cut bundle", &fault);
		check_tree(d.ref, false, true);
		d.harmless++;
		return;
	}
	expect(code == EXIT_BUNDLE, "damage", &fault);
	expect(!in_index || untouched, "touched, though the index shows it", &fault);
	d.refused++;
	if (!untouched) /* what a damaged frame left behind is no obstacle */
		fill_with(d.good, d.size, d.ref);
}

static void try_refill(const struct run *run, uint64_t older)
{
	struct fault fault;
	size_t size = spoil();
	enum exit_code code = volume_run(run, d.bad, size, &fault);

	check_canary();
	if (code == EXIT_DONE) {
		expect(!d.cuts, "a cut bundle", &fault);
		check_tree(d.ref, false, true);
		d.harmless++;
		volume_reset();
		fill_with(d.older, d.older_size, d.older_ref);
		return;
	}
	expect(code == EXIT_BUNDLE, "damage", &fault);
	expect(volume_state(volume_fd, true) == older, "the older tree was changed", &fault);
	d.refused++;
}

/* With the older tree in the volume, nothing may pass as the bundle's. */
static void try_verify(const struct run *run, bool is_older)
{
	struct fault fault;
	size_t size = spoil();
	enum exit_code code = volume_run(run, d.bad, size, &fault);

	expect(code == EXIT_BUNDLE || (!d.cuts && code == (is_older ? EXIT_DIFFERENT : EXIT_DONE)), "damage",
	       &fault);
	if (code == EXIT_BUNDLE)
		d.refused++;
	else if (is_older)
		d.different++;
	else
		d.harmless++;
}

static void try_all(const char *how, unsigned long step)
{
	bool verify = strcmp(how, "verify") == 0, refill = strcmp(how, "refill") == 0;
	struct run run = run_of(verify ? COMMAND_VERIFY : COMMAND_FILL);
	unsigned long end = d.cuts ? d.size : 8 * d.size;
	uint64_t older = 0;

	run.stream = strcmp(how, "pipe") == 0;
	for (int pass = 0; pass < 1 + verify; pass++) {
		volume_reset();
		if (refill || pass == 1)
			fill_with(d.older, d.older_size, d.older_ref);
		else if (verify)
			fill_with(d.good, d.size, d.ref);
		if (refill)
			older = volume_state(volume_fd, true);
		for (d.at = 0; d.at < end; d.at += step) {
			if (verify)
				try_verify(&run, pass == 1);
			else if (refill)
				try_refill(&run, older);
			else
				try_fill(&run);
		}
	}
	/* After all that, an older volume still takes the bundle. */
	if (refill)
		fill_with(d.good, d.size, d.ref);
}

int main(int argc, char **argv)
{
	if (argc != 6 || strtoul(argv[3], NULL, 10) == 0) {
		fputs("usage: damage bits|cuts fill|pipe|refill|verify STEP BUNDLE OLDER\n", stderr);
		return 2;
	}
	d.cuts = strcmp(argv[1], "cuts") == 0;
	d.good = arena_take(LARGEST);
	d.bad = arena_take(LARGEST);
	d.older = arena_take(LARGEST);
	d.size = read_file(argv[4], d.good);
	d.older_size = read_file(argv[5], d.older);
	d.index_end = LEAD_TOTAL + (d.good[13] | (size_t)d.good[14] << 8 | (size_t)d.good[15] << 16);
	d.ref = ref_read(d.good, d.size);
	d.older_ref = ref_read(d.older, d.older_size);
	volume_setup();
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (d.ref->wrong || d.older_ref->wrong || ref_content(d.ref) || ref_content(d.older_ref) ||
	    dup2(null, 2) != 2)
		broken("a bundle that shall be good is not");
	signal(SIGABRT, tell);
	signal(SIGSEGV, tell);
	signal(SIGBUS, tell);
	try_all(argv[2], strtoul(argv[3], NULL, 10));
	dprintf(broken_fd, "%s %s: %lu refused, %lu harmless, %lu different\n", argv[1], argv[2], d.refused,
	        d.harmless, d.different);
	return 0;
}
