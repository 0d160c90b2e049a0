#include "switch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fill.h"
#include "io.h"
#include "path.h"
#include "prune.h"
#include "verify.h"

#define LINK "current"
#define JOURNAL "journal-"
enum { ID_SIZE = 33, JOURNAL_LEN = sizeof JOURNAL - 1 };

struct switcher {
	const struct options *options;
	const struct log *log;
	const struct dest *dest;
	struct state state;
	const char *now;                /* the id of the tree that is being filled */
	char before[ID_SIZE];           /* what `current` led to when the fill began; read_led */
	char record[RELEASE_NAME_SIZE]; /* that of NOW, if it is the newest of all; or "" */
};

/* The id that `current` leads to, to ID: "" when there is no such link, "/" when it leads elsewhere. */
static bool read_link(const struct dest *d, char *id, struct fault *fault)
{
	ssize_t n = readlinkat(d->root, LINK, id, ID_SIZE);

	if (n < 0 && errno != ENOENT) {
		char path[PATH_LEN_MAX + sizeof LINK + 1];
		int error = errno;
		snprintf(path, sizeof path, "%.*s/" LINK, PATH_LEN_MAX, d->path);
		return error == EINVAL
		           ? fault_set(fault, EXIT_VOLUME, path, "read link", "is no symbolic link")
		           : fault_errno(fault, error, path, "read link");
	}
	id[n < 0 || n == ID_SIZE ? 0 : n] = '\0';
	if (n >= 0 && !id_valid(id))
		strcpy(id, "/");
	return true;
}

/* The same where somebody has spelt that otherwise, by hand: readers go by where it leads. */
static bool read_led(const struct dest *d, char *id, struct fault *fault)
{
	struct stat led, tree;
	struct names names;

	if (!read_link(d, id, fault) || strcmp(id, "/") != 0)
		return fault->code == EXIT_DONE;
	if (fstatat(d->root, LINK, &led, 0) != 0)
		return !fault_untold(errno) || fault_errno(fault, errno, d->path, "stat " LINK);
	if (!names_ids(d->root, &names))
		return fault_errno(fault, errno, d->path, "read directory");
	for (uint32_t i = 0; i < names.count; i++) {
		const char *name = names_get(&names, i).s;
		if (fstatat(d->root, name, &tree, AT_SYMLINK_NOFOLLOW) == 0 && tree.st_ino == led.st_ino &&
		    tree.st_dev == led.st_dev)
			memcpy(id, name, ID_SIZE);
	}
	names_free(&names);
	return true;
}

/* A directory that a fill without --switch has used is not for trees. */
static bool claim(struct switcher *w, struct fault *fault)
{
	struct names names;
	bool ours = true, switched;

	if (!state_switched(&w->state, &switched, fault))
		return false;
	if (switched)
		return true;
	if (!names_read(w->state.dir, &names))
		return state_fault(&w->state, fault, "", "read");
	for (uint32_t i = 0; i < names.count; i++) {
		const char *name = names_get(&names, i).s;
		ours = ours && (strcmp(name, "lock") == 0 || strcmp(name, "tmp") == 0 ||
		                strcmp(name, STATE_COMPOSED) == 0);
	}
	names_free(&names);
	if (!ours)
		return fault_set(
		    fault, EXIT_VOLUME, w->dest->path, "fill",
		    "was filled without --switch: name another directory, or empty this one and .decant");
	return state_mark(&w->state, STATE_SWITCHED, fault);
}

static void journal_of(char *name, const char *id)
{
	memcpy(name, JOURNAL, JOURNAL_LEN);
	strcpy(name + JOURNAL_LEN, id);
}

/* Does tree ID stay, when releases_choose has chosen? */
static bool stays(const struct switcher *w, const char *id)
{
	const struct releases *r = &w->state.releases;
	return strcmp(id, w->now) == 0 || releases_keep(r, 0, id);
}

/* Remove what decant made in TREE. *EMPTY tells whether its root, without .decant, can go, too. */
static bool empty_tree(struct switcher *w, struct dest *tree, bool *empty, struct fault *fault)
{
	struct fill f = {.options = w->options, .log = w->log, .dest = tree};
	struct names names = {0};
	if (state_lock(&f.state, tree, 0, fault)) /* one that is being filled can go another time */
		dest_look(tree);
	bool done = !fault->code && state_clear(&f.state, fault) && state_load(&f.state, fault) &&
	            state_drop(&f.state, NULL, fault) && prune_managed(&f, fault) &&
	            (names_some(tree->root, &names) || fault_errno(fault, errno, tree->path, "read"));

	*empty = names.count == 1;
	names_free(&names);
	if (done && *empty) {
		dest_unlock(tree, ".");
		done = state_discard(&w->state, tree->root, STATE_DIR) ||
		       fault_errno(fault, errno, tree->path, "remove");
	}
	state_close(&f.state);
	return done;
}

/* Remove tree ID, and its record when nothing is left of it. */
static bool remove_tree(struct switcher *w, const char *id, struct fault *fault)
{
	char journal[JOURNAL_LEN + ID_SIZE];
	struct dest tree;
	bool gone = !dest_within(&tree, w->dest, id, false), empty;

	if (gone && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
		fault_errno(fault, errno, tree.path ? tree.path : id, "open");
	} else if (!gone && empty_tree(w, &tree, &empty, fault)) {
		gone = empty && dest_rmdir(w->dest->root, id);
		if (gone || errno == ENOTEMPTY || errno == EEXIST || !empty)
			log_note(w->log, tree.path,
			         gone ? "removed" : "note: stays, because it holds what decant did not make");
		else
			fault_errno(fault, errno, tree.path, "remove directory");
	}
	dest_close(&tree);
	/* What cannot be removed keeps its record, so that later fills try again; it must not keep them from
	 * filling. EXIT_SPACE: on a full disk a tree without .decant cannot be locked, but others after it
	 * may go. */
	if (fault->code == EXIT_VOLUME || fault->code == EXIT_PERMISSION || fault->code == EXIT_SPACE ||
	    fault->code == EXIT_LOCKED || fault->code == EXIT_IO) {
		log_stays(w->log, fault);
		*fault = (struct fault){.code = EXIT_DONE};
		return true;
	}
	if (fault->code)
		return false;
	journal_of(journal, id);
	return !gone || state_unmark(&w->state, journal, fault);
}

/* Remove the trees of fills that did not end, and those whose removal did not. */
static bool remove_unfinished(struct switcher *w, struct fault *fault)
{
	const struct state *s = &w->state;

	for (uint32_t i = 0; i < s->journals.count; i++) {
		const char *id = names_get(&s->journals, i).s + JOURNAL_LEN;
		if (id_valid(id) && strcmp(id, w->before) != 0 && !stays(w, id) && !remove_tree(w, id, fault))
			return false;
	}
	return true;
}

/* What `current` leads to has the newest record; if not, somebody has led it there by hand, or the fill that
 * did was killed before it could say so. */
static bool record_before(struct switcher *w, struct fault *fault)
{
	char name[RELEASE_NAME_SIZE];
	struct state *s = &w->state;
	const char *newest = releases_newest(&s->releases);

	if (newest && strcmp(newest, w->before) == 0)
		return true;
	releases_next(&s->releases, w->before, name);
	if (!state_mark(s, name, fault))
		return false;
	releases_free(&s->releases);
	return releases_read(&s->releases, s->dir) || state_fault(s, fault, "", "read");
}

/* Remove what is unfinished before another one needs the room; but nothing at all when it is not known which
 * tree readers use, because somebody removed `current`, or led it elsewhere. Where no tree has ever been
 * whole they use none. */
static bool make_room(struct switcher *w, struct fault *fault)
{
	struct releases *r = &w->state.releases;
	struct dest tree;
	bool known = id_valid(w->before);

	if (known) {
		known = dest_within(&tree, w->dest, w->before, false);
		if (!known && fault_untold(errno))
			fault_errno(fault, errno, w->dest->path, "open tree");
		dest_close(&tree);
	}
	if (fault->code)
		return false;
	if (!*w->before && r->names.count == 0)
		return remove_unfinished(w, fault);
	if (!known)
		strcpy(w->before, "/");
	memset(r->kept, 1, r->names.count);
	return !known || (remove_unfinished(w, fault) && record_before(w, fault));
}

/* Remove the trees that do not stay, now that nobody is led to them. */
static bool remove_old(struct switcher *w, struct fault *fault)
{
	struct state *s = &w->state;
	char journal[JOURNAL_LEN + ID_SIZE];

	for (uint32_t i = 0; i < s->releases.names.count; i++) {
		const char *id = releases_id(&s->releases, i), *name = names_get(&s->releases.names, i).s;
		if (s->releases.kept[i] || strcmp(name, w->record) == 0)
			continue;
		bool stay = !id || stays(w, id);
		if (!stay) /* From here on it counts as unfinished. */
			journal_of(journal, id);
		if (stay ? !state_unmark(s, name, fault)
		         : !state_unmark(s, journal, fault) ||
		               !(dest_rename(s->dir, name, s->dir, journal) ||
		                 state_fault(s, fault, name, "rename")) ||
		               !remove_tree(w, id, fault))
			return false;
	}
	return id_valid(w->before) || remove_unfinished(w, fault); /* make_room left them */
}

/* The journal of the tree becomes its record. */
static bool record(struct switcher *w, struct fault *fault)
{
	char journal[JOURNAL_LEN + ID_SIZE];
	struct state *s = &w->state;

	journal_of(journal, w->now);
	releases_next(&s->releases, w->now, w->record);
	/* At the last number there may be one of that name. */
	return state_unmark(s, w->record, fault) && (dest_rename(s->dir, journal, s->dir, w->record) ||
	                                             state_fault(s, fault, w->record, "create"));
}

/* Lead `current` to the tree that is now complete, and put that on record, by which it stays later on. */
static bool flip(struct switcher *w, struct fault *fault)
{
	struct state *s = &w->state;
	char led[ID_SIZE];

	/* Once more, because somebody may have put something else in its place. */
	if (!read_link(w->dest, led, fault))
		return false;
	if (strcmp(led, w->now) != 0) {
		if (symlinkat(w->now, s->tmp, LINK) != 0)
			return state_fault(s, fault, "tmp/" LINK, "create");
		if (!dest_rename(s->tmp, LINK, w->dest->root, LINK))
			return fault_errno(fault, errno, w->dest->path, "switch " LINK);
		log_note(w->log, w->dest->path, "switched");
	}
	if (!*w->record && !record(w, fault))
		return false;
	/* Also when the link was right: who made it may have been killed before this. */
	return !w->options->sync || dest_sync(w->dest) || fault_errno(fault, errno, w->dest->path, "sync");
}

static bool fill_tree(struct switcher *w, struct bundle *b, unsigned workers, struct fault *fault)
{
	struct options inner = *w->options;
	char journal[JOURNAL_LEN + ID_SIZE];
	const char *newest = releases_newest(&w->state.releases);
	struct dest tree;

	inner.keep_releases = 0;
	journal_of(journal, w->now);
	if (newest && strcmp(newest, w->now) == 0)
		strcpy(w->record, newest - (RELEASE_NAME_SIZE - ID_SIZE));
	else if (!state_mark(&w->state, journal, fault))
		return false;
	if (dest_within(&tree, w->dest, w->now, true))
		fill_volume(&inner, w->log, b, &tree, workers, fault);
	else
		fault_errno(fault, errno, tree.path ? tree.path : w->now, "open");
	dest_close(&tree);
	return fault->code == EXIT_DONE;
}

bool switch_fill(const struct options *o, const struct log *log, struct bundle *b, struct dest *dest,
                 unsigned workers, struct fault *fault)
{
	struct switcher w = {.options = o, .log = log, .dest = dest, .now = b->id};
	struct state *s = &w.state;

	/* Before anything is made here; and again, when no other fill can change it any more. */
	if (!read_link(dest, w.before, fault))
		return false;
	if (state_lock(s, dest, o->lock_timeout, fault) && claim(&w, fault) &&
	    read_led(dest, w.before, fault) && state_clear(s, fault) && state_load(s, fault) &&
	    make_room(&w, fault) && fill_tree(&w, b, workers, fault) && flip(&w, fault)) {
		releases_choose(&s->releases, o->keep_releases, w.now, NULL);
		if (remove_old(&w, fault) && state_purge(s, fault))
			state_heal(s, fault);
	}
	state_close(s);
	return fault->code == EXIT_DONE;
}

bool switch_verify(const struct options *o, const struct log *log, struct bundle *b, struct dest *dest,
                   unsigned workers, struct fault *fault)
{
	char led[ID_SIZE];
	struct dest tree;

	if (!read_led(dest, led, fault))
		return false;
	if (strcmp(led, b->id) != 0)
		return fault_set(fault, EXIT_DIFFERENT, dest->path, "verify",
		                 LINK " does not lead to bundle %s", b->id);
	if (dest_within(&tree, dest, led, false))
		verify_volume(o, log, b, &tree, workers, fault);
	else
		fault_errno(fault, errno, tree.path ? tree.path : led, "open");
	dest_close(&tree);
	return fault->code == EXIT_DONE;
}

bool switch_peek(const struct dest *d, struct dest *tree, struct releases *kept, struct fault *fault)
{
	struct state s = {.dest = d, .dir = dest_child(d, d->root, STATE_DIR, O_RDONLY)};
	char led[ID_SIZE];
	bool is = false;

	if (s.dir < 0)
		return fault_untold(errno) && state_fault(&s, fault, "", "open");
	is = state_switched(&s, &is, fault) && is && read_led(d, led, fault) && id_valid(led);
	if (is && !dest_within(tree, d, led, false)) {
		is = false;
		if (fault_untold(errno) || errno == EACCES)
			fault_errno(fault, errno, d->path, "open tree");
		dest_close(tree);
	}
	if (is && !releases_read(kept, s.dir)) {
		is = state_fault(&s, fault, "", "read");
		dest_close(tree);
		releases_free(kept);
	}
	close_fd(&s.dir);
	return is;
}
