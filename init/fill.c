#include "fill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "path.h"
#include "pour.h"
#include "prune.h"
#include "publish.h"
#include "spelling.h"

/* Nothing in the volume but what belongs to decant and to the file system. */
static bool look_fresh(struct fill *f, struct fault *fault)
{
	struct names names;

	f->fresh = !f->state.has_held && f->state.journals.count == 0 && f->state.releases.names.count == 0;
	if (!f->fresh)
		return true;
	if (!names_some(f->dest->root, &names))
		return fault_errno(fault, errno, f->dest->path, "read directory");
	for (uint32_t i = 0; i < names.count; i++) {
		struct text name = names_get(&names, i);
		if (!name_reserved(name.s, name.len))
			f->fresh = false;
	}
	names_free(&names);
	return true;
}

/* What is needed at least against what is free. A lower bound, so that it never refuses what would fit. */
static bool fits(const struct fill *f, struct fault *fault)
{
	const struct catalog *c = &f->bundle->catalog;
	uint64_t bytes, inodes, need = f->plan.disk;
	/* c->hardlinks need no inode, and neither does the root. */
	uint64_t names = f->fresh ? (uint64_t)c->head.dirs - 1 + c->files + c->symlinks
	                          : f->plan.count[ACTION_NEW] + f->plan.count[ACTION_REPLACE] - f->plan.links;
	uint32_t unit;

	if (!dest_space(f->dest, &bytes, &inodes, &unit))
		return fault_errno(fault, errno, f->dest->path, "check space");
	if (f->fresh) {
		/* The bundle counts in steps of 4,096 bytes; each file's last one may be smaller here. */
		uint64_t less = (uint64_t)c->files * (4096 - unit);
		need = c->disk - (less < c->disk ? less : c->disk);
		if (less && c->content < need)
			need = c->content; /* or be in an inode */
	}
	if (!f->state.resumed && __builtin_add_overflow(need, bundle_index_size(f->bundle), &need))
		need = UINT64_MAX; /* what an index says of its own need may be a lie */
	/* btrfs counts what was removed as used until it commits, which it does by itself before a write
	 * fails. */
	if ((need > bytes || names > inodes) &&
	    (!dest_sync(f->dest) || !dest_space(f->dest, &bytes, &inodes, &unit)))
		return fault_errno(fault, errno, f->dest->path, "check space");
	if (need > bytes)
		return fault_set(fault, EXIT_SPACE, f->dest->path, "check space",
		                 "%llu bytes needed, %llu free", (unsigned long long)need,
		                 (unsigned long long)bytes);
	if (names > inodes)
		return fault_set(fault, EXIT_SPACE, f->dest->path, "check space",
		                 "%llu inodes needed, %llu free", (unsigned long long)names,
		                 (unsigned long long)inodes);
	return true;
}

static bool check_space(const struct fill *f, struct fault *fault)
{
	return !f->options->space_check || fits(f, fault);
}

/* How many entries the plan wants changed, in content, metadata or existence; checks that came out well do
 * not count. */
static uint64_t count_changes(const struct fill *f)
{
	uint64_t changes = 0;
	for (uint32_t i = 0; i < f->bundle->catalog.head.entries; i++)
		changes += f->plan.entry[i] != ACTION_KEEP;
	return changes;
}

static bool refuse_spelling(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	const struct fill *f = context;
	(void)fd;
	errno = EEXIST;
	return dest_fault(f->dest, &f->bundle->catalog, number, (struct text){name, strlen(name)},
	                  "check name", fault);
}

/* A name that is not there as it is spelt must not be there at all: it would be another's, or .decant. */
static bool refuse_present(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	struct stat st;
	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	       refuse_spelling(context, number, fd, name, fault);
}

static bool check_present(struct fill *f, struct fault *fault)
{
	return !f->dest->aliases || spelling_all(f->bundle, f->dest, refuse_present, f, fault);
}

/* On a volume that ignores case, say, one file may have taken another's place, or another name. */
static bool check_spelling(struct fill *f, struct fault *fault)
{
	return !f->dest->aliases || spelling_all(f->bundle, f->dest, refuse_spelling, f, fault);
}

/* A volume that holds nothing yet. */
static bool fill_fresh(struct fill *f, struct fault *fault)
{
	return check_present(f, fault) && check_space(f, fault) && state_begin(&f->state, f->bundle, fault) &&
	       state_begin_first(&f->state, fault) && state_drop(&f->state, f->bundle, fault) &&
	       publish_mkdirs(f, fault) && pour(f, fault) && publish_links(f, fault) &&
	       publish_dirs(f, fault) && check_spelling(f, fault) &&
	       state_commit(&f->state, f->bundle, f->options->sync, fault);
}

/* The volume's names change from here on. */
static bool publish(struct fill *f, struct fault *fault)
{
	if (!state_drop(&f->state, f->bundle, fault) || !publish_mkdirs(f, fault) || !publish_new(f, fault) ||
	    !publish_changed(f, fault) || !publish_links(f, fault))
		return false;
	if (f->options->prune == PRUNE_MANAGED && !prune_managed(f, fault))
		return false;
	if (f->options->prune == PRUNE_ALL && !prune_all(f, fault))
		return false;
	return publish_dirs(f, fault);
}

static void choose_releases(struct fill *f)
{
	struct state *s = &f->state;
	releases_choose(&s->releases, f->options->keep_releases, f->bundle->id,
	                s->has_held ? s->held.id : NULL);
	s->keep_held = f->options->keep_releases > 0 && s->has_held && !state_holds(s, f->bundle);
}

/* Does the volume hold this very bundle, as its state says and as durably as is asked for? */
static bool is_held(const struct fill *f)
{
	const struct state *s = &f->state;
	return s->trusted && s->journals.count == 0 && (s->synced || !f->options->sync) &&
	       state_holds(s, f->bundle);
}

/* What is to be done, on file system blocks of UNIT bytes. What a first fill that did not end has made wrong
 * goes before it is made again, because there need not be room for both: the volume holds no release that
 * anybody could read meanwhile. */
static bool make_plan(struct fill *f, uint32_t unit, struct fault *fault)
{
	if (!plan_make(&f->plan, f->bundle, &f->state, f->workers, unit, fault))
		return false;
	if (!state_unfinished(&f->state))
		return true;
	f->claimed = calloc((size_t)f->bundle->catalog.head.entries + 1, 1);
	if (!f->claimed)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "plan", "out of memory");
	if (!prune_claims(f, f->claimed, fault) ||
	    (f->options->prune != PRUNE_NONE && !prune_managed(f, fault)) || !publish_room(f, fault))
		return false;
	plan_free(&f->plan);
	return plan_make(&f->plan, f->bundle, &f->state, f->workers, unit, fault);
}

/* A volume that holds something. *CHANGED tells whether its tree was touched. */
static bool refill(struct fill *f, bool *changed, struct fault *fault)
{
	uint64_t bytes, inodes, strangers = 0;
	uint32_t unit = 4096;

	if (!dest_space(f->dest, &bytes, &inodes, &unit))
		return fault_errno(fault, errno, f->dest->path, "statfs");
	if (!check_present(f, fault) || !make_plan(f, unit, fault))
		return false;
	if (f->options->prune == PRUNE_ALL && !prune_count(f, &strangers, fault))
		return false;
	choose_releases(f);
	uint64_t dropped = f->state.releases.dropped;
	*changed = false;
	uint64_t todo =
	    f->bundle->catalog.head.entries - f->plan.count[ACTION_KEEP] + f->plan.dirs + strangers + dropped;
	if (todo == 0 && is_held(f)) {
		bundle_drain(f->bundle);
		/* Links and directories that somebody has put back are right, but need not be on disk. */
		return !f->options->sync || dest_sync(f->dest) ||
		       fault_errno(fault, errno, f->dest->path, "sync");
	}
	state_resume(&f->state, f->bundle);
	if (!check_space(f, fault) || !state_begin(&f->state, f->bundle, fault) || !pour(f, fault))
		return false;
	*changed = f->state.journals.count > 0 || !state_holds(&f->state, f->bundle) ||
	           count_changes(f) + f->plan.dirs + strangers + dropped > 0;
	/* One that stands alone is of a fill that came no further, before somebody else put something here.
	 */
	if (!f->claimed && !state_end_first(&f->state, fault))
		return false;
	if (*changed ? !publish(f, fault) : !state_drop(&f->state, f->bundle, fault))
		return false;
	return check_spelling(f, fault) && state_commit(&f->state, f->bundle, f->options->sync, fault);
}

static void summarize(struct fill *f, bool changed)
{
	const struct catalog *c = &f->bundle->catalog;
	uint64_t written = f->fresh ? c->head.entries : count_changes(f);

	log_summary(f->log, &(struct summary){
	                        .dest = f->dest->path,
	                        .result = changed ? "filled" : "unchanged",
	                        .id = f->bundle->id,
	                        .revision = c->revision,
	                        .files = c->head.entries,
	                        .bytes = c->content,
	                        .written = written,
	                        .unchanged = c->head.entries - written,
	                        .removed = f->progress.removed,
	                        .kept_releases = f->state.releases.names.count - f->state.releases.dropped +
	                                         f->state.keep_held,
	                        .seconds = progress_seconds(&f->progress),
	                        .handled_bytes = f->fresh ? c->content : f->plan.bytes,
	                    });
}

/* Files and whole trees in one directory would be in each other's way. */
static bool check_kind(const struct fill *f, struct fault *fault)
{
	bool switched;

	if (!state_switched(&f->state, &switched, fault))
		return false;
	return !switched || fault_set(fault, EXIT_VOLUME, f->dest->path, "fill",
	                              "holds whole trees: fill it with --switch");
}

bool fill_allowed(const struct options *options, const struct bundle *b, struct fault *fault)
{
	if ((b->catalog.flags & CATALOG_HAS_SETID) && !options->setid)
		return fault_set(fault, EXIT_BUNDLE, b->name, "check index",
		                 "has setuid, setgid or sticky bits, or capabilities; --setid accepts them");
	return true;
}

bool fill_volume(const struct options *options, const struct log *log, struct bundle *b, struct dest *dest,
                 unsigned workers, struct fault *fault)
{
	struct fill f = {.options = options, .log = log, .bundle = b, .dest = dest, .workers = workers};
	bool changed = true;

	progress_begin(&f.progress, log, dest->path, b->catalog.head.data_plain);
	if (state_lock(&f.state, dest, options->lock_timeout, fault) && check_kind(&f, fault) &&
	    state_clear(&f.state, fault) && state_load(&f.state, fault) && look_fresh(&f, fault)) {
		dest_look(dest);
		/* That it is on disk nobody has found out yet. */
		if (options->sync && !f.state.synced)
			f.state.trusted = false;
		dest->rereads = options->sync;
		f.fresh ? fill_fresh(&f, fault) : refill(&f, &changed, fault);
	}
	progress_clear(&f.progress);
	if (!fault->code)
		summarize(&f, changed);
	else if (f.state.tmp >= 0 &&
	         fault->code < EXIT_SIGNAL) /* who is told to stop leaves that to the next fill */
		state_purge(&f.state, &(struct fault){.code = EXIT_DONE});
	state_close(&f.state);
	plan_free(&f.plan);
	free(f.claimed);
	return fault->code == EXIT_DONE;
}
