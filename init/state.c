#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "hash.h"
#include "io.h"

/* The state file: this head, then the bundle's index as it stands in the bundle. */
#define STATE_MAGIC "dcntstat"
enum {
	STATE_VERSION = 8, /* u16 */
	STATE_FLAGS = 10,  /* u16 */
	STATE_NSEC = 12,   /* u32, nanoseconds of STATE_SEEN */
	STATE_BOOT = 16,   /* 36 bytes: /proc/sys/kernel/random/boot_id, or zeros */
	STATE_TIME = 52,   /* i64, seconds since 1970, by this machine's clock */
	STATE_SEEN = 60,   /* i64, the same by the file system's: all that has an earlier ctime was seen */
	STATE_NUMBER = 68, /* u64, rising from state to state */
	STATE_SUM = 76,    /* u64, XXH3-64 of the 76 bytes before */
	STATE_SIZE = 84,
	STATE_SYNCED = 1, /* flag: all of the volume was on disk before this file was */
	STATE_DONE = 2    /* flag: not a journal */
};

const char *state_path(const struct state *s, const char *name, char *out)
{
	snprintf(out, STATE_PATH_SIZE, "%.*s/" STATE_DIR "%s%s", PATH_LEN_MAX, s->dest->path,
	         *name ? "/" : "", name);
	return out;
}

bool state_fault(const struct state *s, struct fault *fault, const char *name, const char *action)
{
	char path[STATE_PATH_SIZE];
	int error = errno;
	return fault_errno(fault, error, state_path(s, name, path), action);
}

void state_init(struct state *s, const struct dest *dest)
{
	*s = (struct state){.dest = dest,
	                    .dir = -1,
	                    .lock = -1,
	                    .tmp = -1,
	                    .journal = -1,
	                    .held.fd = -1,
	                    .group = (gid_t)-1,
	                    .budget = SHARED_MAX,
	                    .steps = SHARED_STEPS};
}

void state_close(struct state *s)
{
	names_free(&s->journals);
	releases_free(&s->releases);
	if (s->has_held)
		bundle_close(&s->held);
	s->has_held = false;
	close_fd(&s->journal);
	close_fd(&s->tmp);
	close_fd(&s->lock);
	close_fd(&s->dir);
}

/* Who may remove a file by hand may do so by its name in .decant. */
static bool may_name(const struct state *s, int fd, const struct stat *st)
{
	return state_private(s, fd, st) || (st->st_uid == geteuid() && !(st->st_mode & S_IWOTH) &&
	                                    st->st_gid == s->group && dest_owner_is(s->dest, fd, st));
}

/* Is what ST describes a plain file, and HEAD the head of a state? */
static bool is_whole(const struct stat *st, const unsigned char *head)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && memcmp(head, STATE_MAGIC, 8) == 0 &&
	       get16(head + STATE_VERSION) == BUNDLE_VERSION &&
	       get64(head + STATE_SUM) == hash64(head, STATE_SUM);
}

/* Open the index in file NAME of .decant as B; HEAD gets the file's head, ST its status. False when it is
 * not there, not whole or not ours, which is no error; and, with FAULT set, when it cannot be read, because
 * to go on without it would leave files behind that nobody knows of. */
static bool open_index(struct state *s, const char *name, struct bundle *b, unsigned char *head,
                       struct stat *st, struct fault *fault)
{
	struct fault inner = {.code = EXIT_DONE};
	char path[STATE_PATH_SIZE];
	int fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		/* EACCES: .decant is ours, but others could write to it. */
		if (errno != ENOENT && errno != ELOOP && errno != ENXIO && (errno != EACCES || !s->exposed))
			state_fault(s, fault, name, "open");
		return false;
	}
	memset(head, 0, STATE_SIZE);
	if (fstat(fd, st) != 0 || (S_ISREG(st->st_mode) && read_full(fd, head, STATE_SIZE, 0) < 0)) {
		state_fault(s, fault, name, "read");
		close(fd);
		return false;
	}
	if (!may_name(s, fd, st) || !is_whole(st, head)) {
		close(fd);
		return false;
	}
	/* One that a group has written may be made to need more memory than there is, or hours. */
	bool shared = st->st_mode & 022;
	bool opened = bundle_open_index(b, state_path(s, name, path), fd, STATE_SIZE,
	                                shared ? &s->budget : NULL, &inner);
	if (opened) {
		b->held = true;
		b->shared = shared;
	} else if (inner.code != EXIT_BUNDLE) {
		*fault = inner;
	}
	return opened;
}

static bool load_held(struct state *s, struct fault *fault)
{
	unsigned char head[STATE_SIZE];
	static const char name[] = "state";
	static const unsigned char unknown[STATE_TIME - STATE_BOOT];
	const unsigned char *boot = s->dest->boot;
	struct stat st;

	s->has_held = open_index(s, name, &s->held, head, &st, fault);
	if (!s->has_held)
		return fault->code == EXIT_DONE;
	memcpy(s->held_name, name, sizeof name);
	s->synced = get16(head + STATE_FLAGS) & STATE_SYNCED;
	s->filled = (int64_t)get64(head + STATE_TIME);
	s->number = get64(head + STATE_NUMBER);
	/* Not this file's own ctime: a chmod -R gives it a new one, too. */
	s->seen = (struct timespec){.tv_sec = (time_t)get64(head + STATE_SEEN),
	                            .tv_nsec = (long)get32(head + STATE_NSEC)};
	s->trusted = !s->exposed && !s->held.shared && (get16(head + STATE_FLAGS) & STATE_DONE) &&
	             (s->synced || (memcmp(boot, unknown, sizeof unknown) != 0 &&
	                            memcmp(boot, head + STATE_BOOT, sizeof unknown) == 0));
	return true;
}

static const char journal_prefix[] = "journal-";

static bool is_journal(const char *name)
{
	return strncmp(name, journal_prefix, strlen(journal_prefix)) == 0;
}

/* Anybody could have put it into a .decant that was open to others. */
static bool is_first_unfinished(const struct state *s)
{
	return s->first && !s->exposed && s->journals.count > 0;
}

static bool is_first(const struct state *s)
{
	struct stat st;
	return fstatat(s->dir, STATE_FIRST, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The number of the newest release that is whole to S, or 0. */
static bool last_kept(struct state *s, struct fault *fault)
{
	const struct names *kept = &s->releases.names;
	unsigned char head[STATE_SIZE];
	struct bundle b;
	struct stat st;
	bool found = false;

	for (uint32_t i = kept->count; i-- > 0 && !found && !fault->code;) {
		found = open_index(s, names_get(kept, i).s, &b, head, &st, fault);
		if (found) {
			s->number = get64(head + STATE_NUMBER);
			bundle_close(&b);
		}
	}
	return fault->code == EXIT_DONE;
}

/* The last of the journals that were a state, to S->held, unless one that is kept came after it. */
static bool find_held(struct state *s, struct fault *fault)
{
	unsigned char head[STATE_SIZE];
	struct bundle b;
	struct stat st;

	if (!last_kept(s, fault))
		return false;
	for (uint32_t i = 0; i < s->journals.count; i++) {
		struct text name = names_get(&s->journals, i);
		if (name.len >= sizeof s->held_name || !open_index(s, name.s, &b, head, &st, fault)) {
			if (fault->code)
				return false;
			continue;
		}
		if (!(get16(head + STATE_FLAGS) & STATE_DONE) || get64(head + STATE_NUMBER) < s->number) {
			bundle_close(&b);
			continue;
		}
		if (s->has_held)
			bundle_close(&s->held);
		s->held = b;
		s->has_held = true;
		s->number = get64(head + STATE_NUMBER);
		memcpy(s->held_name, name.s, name.len + 1);
	}
	return true;
}

bool state_load(struct state *s, struct fault *fault)
{
	uint32_t kept = 0;

	if (!load_held(s, fault))
		return false;
	if (!names_read(s->dir, &s->journals))
		return state_fault(s, fault, "", "read");
	for (uint32_t i = 0; i < s->journals.count; i++) {
		const char *name = names_get(&s->journals, i).s;
		if (is_journal(name))
			s->journals.at[kept++] = s->journals.at[i];
		else if (state_is_trash(name))
			(void)state_discard(s, s->dir, name);
	}
	s->journals.count = kept;
	if (!releases_read(&s->releases, s->dir))
		return state_fault(s, fault, "", "read");
	s->first = is_first(s);
	return s->has_held || is_first_unfinished(s) || find_held(s, fault);
}

bool state_unfinished(const struct state *s)
{
	return !s->has_held && s->releases.names.count == 0 && is_first_unfinished(s);
}

bool state_past(struct state *s, const char *name, struct bundle *past, bool *found, int64_t *filled,
                struct fault *fault)
{
	unsigned char head[STATE_SIZE];
	struct stat st;

	size_t len = strlen(name), id_len = sizeof past->id - 1;
	*found = open_index(s, name, past, head, &st, fault);
	if (*found && !is_journal(name) && (len < id_len || strcmp(name + len - id_len, past->id) != 0)) {
		bundle_close(past);
		*found = false;
	}
	if (*found && filled)
		*filled = (int64_t)get64(head + STATE_TIME);
	return *found || fault->code == EXIT_DONE;
}

bool state_peek(struct state *s, const struct dest *dest, struct fault *fault)
{
	state_init(s, dest);
	s->dir = dest_child(dest, dest->root, STATE_DIR, O_RDONLY);
	if (s->dir < 0 && (errno == EACCES || fault_untold(errno)))
		return state_fault(s, fault, "", "open");
	if (s->dir >= 0 && load_held(s, fault) && s->has_held)
		return releases_read(&s->releases, s->dir) || state_fault(s, fault, "", "read");
	return fault->code == EXIT_DONE &&
	       fault_set(fault, EXIT_VOLUME, dest->path, "read state", "no finished fill is recorded here");
}

static void sum_head(unsigned char *head)
{
	put64(head + STATE_SUM, hash64(head, STATE_SUM));
}

static void make_head(const struct state *s, unsigned char *head, unsigned flags, uint64_t number)
{
	memset(head, 0, STATE_SIZE);
	memcpy(head, STATE_MAGIC, 8);
	put16(head + STATE_VERSION, BUNDLE_VERSION);
	put16(head + STATE_FLAGS, (uint16_t)flags);
	memcpy(head + STATE_BOOT, s->dest->boot, sizeof s->dest->boot);
	put64(head + STATE_TIME, (uint64_t)time(NULL));
	put64(head + STATE_NUMBER, number);
	sum_head(head);
}

static void journal_name(char *name, size_t size, const char *id)
{
	snprintf(name, size, "%s%s", journal_prefix, id);
}

bool state_holds(const struct state *s, const struct bundle *b)
{
	return s->has_held && strcmp(b->id, s->held.id) == 0;
}

void state_resume(struct state *s, const struct bundle *b)
{
	unsigned char head[STATE_SIZE] = {0};
	char name[64];
	struct stat st;

	journal_name(name, sizeof name, b->id);
	s->journal = openat(s->dir, state_holds(s, b) ? s->held_name : name,
	                    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	dest_reread(s->dest, s->journal);
	s->resumed = s->journal >= 0 && fstat(s->journal, &st) == 0 &&
	             read_full(s->journal, head, STATE_SIZE, 0) == STATE_SIZE &&
	             state_private(s, s->journal, &st) && is_whole(&st, head) &&
	             bundle_index_is(b, s->journal, STATE_SIZE);
	if (!s->resumed)
		close_fd(&s->journal);
}

bool state_begin(struct state *s, const struct bundle *b, struct fault *fault)
{
	unsigned char head[STATE_SIZE];

	if (s->resumed)
		return true;
	/* Written aside, to be renamed: a journal is whole, or not there. */
	s->journal = openat(s->tmp, "journal", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->journal < 0)
		return state_fault(s, fault, "tmp/journal", "create");
	/* What the volume holds is to be repaired: this stands in for its state, which may not be taken over.
	 */
	make_head(s, head, state_holds(s, b) ? STATE_DONE : 0, s->number);
	if (!write_full(s->journal, head, sizeof head, 0))
		return state_fault(s, fault, "tmp/journal", "write");
	/* File systems may have a name on disk before the content: after a power cut an empty journal, or the
	 * state that it becomes, would name nothing, and what this fill made would never be removed. Now,
	 * while there is little else to flush. */
	return bundle_index_copy(b, s->journal, STATE_SIZE, s->dest->path, fault) &&
	       (fsync(s->journal) == 0 || state_fault(s, fault, "tmp/journal", "sync"));
}

/* Rename FROM of FROM_DIR to NAME of .decant, even where somebody made a directory of that name. */
static bool move_over(struct state *s, int from_dir, const char *from, const char *name)
{
	return dest_rename(from_dir, from, s->dir, name) ||
	       (errno == EISDIR && state_discard(s, s->dir, name) &&
	        dest_rename(from_dir, from, s->dir, name));
}

bool state_drop(struct state *s, const struct bundle *b, struct fault *fault)
{
	char name[64];
	/* The journal says all that the state of the same bundle says, and must not go by it; or was the
	 * state. */
	bool said = b && state_holds(s, b);

	if (b) {
		journal_name(name, sizeof name, b->id);
		if (s->resumed ? said && !move_over(s, s->dir, s->held_name, name)
		               : !move_over(s, s->tmp, "journal", name))
			return state_fault(s, fault, name, "create");
	}
	if (s->has_held && !said) {
		if (s->keep_held)
			releases_next(&s->releases, s->held.id, name);
		else
			journal_name(name, sizeof name, s->held.id);
		if (!move_over(s, s->dir, s->held_name, name))
			return state_fault(s, fault, name, "create");
	}
	if (!state_unmark(s, "state", fault))
		return false;
	/* A state that is on disk must be off it before a change of the tree can be on it. */
	if (s->has_held && s->synced && fsync(s->dir) != 0)
		return state_fault(s, fault, "", "sync");
	return true;
}

/* Remove the journals but NOW, and the releases that are not kept: all their names are dealt with. */
static bool remove_pasts(struct state *s, const char *now, struct fault *fault)
{
	struct names names;

	if (!names_read(s->dir, &names))
		return state_fault(s, fault, "", "read");
	for (uint32_t i = 0; i < names.count && !fault->code; i++) {
		const char *name = names_get(&names, i).s;
		if (is_journal(name) && strcmp(name, now) != 0)
			state_unmark(s, name, fault);
	}
	names_free(&names);
	for (uint32_t i = 0; i < s->releases.names.count && !fault->code; i++)
		if (!s->releases.kept[i])
			state_unmark(s, names_get(&s->releases.names, i).s, fault);
	return fault->code == EXIT_DONE;
}

/* Write HEAD to FD until that gives the file a later ctime than all that was written before, and note that
 * one: a file system's clock may tick as slowly as its kernel's (10 ms at the most), and what has the ctime
 * that is noted could have been changed after it. One that ticks more slowly makes the next fill compare, no
 * more. */
static bool write_later(int fd, unsigned char *head)
{
	static const struct timespec pause = {.tv_nsec = 1000 * 1000};
	struct stat first, now;

	if (!write_full(fd, head, STATE_SIZE, 0) || fstat(fd, &first) != 0)
		return false;
	for (unsigned tries = 0; tries < 12; tries++) {
		if (!write_full(fd, head, STATE_SIZE, 0) || fstat(fd, &now) != 0)
			return false;
		if (!same_instant(first.st_ctim, now.st_ctim))
			break;
		nanosleep(&pause, NULL);
	}
	put64(head + STATE_SEEN, (uint64_t)now.st_ctim.tv_sec);
	put32(head + STATE_NSEC, (uint32_t)now.st_ctim.tv_nsec);
	sum_head(head);
	return write_full(fd, head, STATE_SIZE, 0);
}

bool state_commit(struct state *s, const struct bundle *b, bool sync, struct fault *fault)
{
	unsigned char head[STATE_SIZE];
	char name[64];
	bool synced = false;

	if (sync && (!dest_sync(s->dest) || !dest_sync_tells(s->dest, &synced)))
		return fault_errno(fault, errno, s->dest->path, "sync");
	journal_name(name, sizeof name, b->id);
	make_head(s, head, STATE_DONE | (synced ? STATE_SYNCED : 0), s->number + (s->number < UINT64_MAX));
	bool done = write_later(s->journal, head) && (!sync || fsync(s->journal) == 0);
	if (!close_fd(&s->journal) || !done)
		return state_fault(s, fault, name, "write");
	/* Before there is a state, so that none ever stands beside it. A journal that came back would claim
	 * what others put under its names since, and one that was a state pass for the last. */
	if (!state_end_first(s, fault) || !remove_pasts(s, name, fault))
		return false;
	if (!dest_rename(s->dir, name, s->dir, "state") || (sync && fsync(s->dir) != 0))
		return state_fault(s, fault, "state", "write");
	return state_heal(s, fault) && state_purge(s, fault);
}
