#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inodes.h"
#include "io.h"
#include "names.h"
#include "node_xattrs.h"
#include "path.h"
#include "recent.h"
#include "stop.h"

/* A directory that the walk is in. Not on the stack: PATH_MAX allows 2,048 of them. */
struct level {
	uint32_t number; /* in the tree */
	mode_t mode;
	struct names names;
	struct stat *stats; /* of the names that are directories to go into; of others st_mode is 0 */
	uint32_t next;      /* of the names */
};

struct scanner {
	struct tree *tree;
	const struct scan_options *options;
	struct level *levels; /* from the root to where the walk is */
	uint32_t depth, level_room;
	struct inodes inodes; /* of the files with several names */
	/* Directories' ctimes changed when they were read: all is read AGAIN, and then none may. */
	bool marked;
	bool again;
};

static bool refused(const struct scanner *s, const char *path, const char *reason, struct fault *fault)
{
	return tree_fault(s->tree, path, EXIT_VOLUME, "pack", reason, fault);
}

static bool no_memory(const struct scanner *s, struct fault *fault)
{
	return fault_set(fault, EXIT_INTERNAL, s->tree->path, "scan", "out of memory");
}

/* Room for one more item in an array of items of SIZE bytes. */
static bool grow(void *array, uint32_t count, uint32_t *room, size_t size)
{
	if (count < *room)
		return true;
	uint32_t more = *room ? *room * 2 : 256;
	if (more <= *room || more > NO_NODE / 2)
		return false;
	void *now;
	memcpy(&now, array, sizeof now);
	now = realloc(now, more * size);
	if (!now)
		return false;
	memcpy(array, &now, sizeof now);
	*room = more;
	return true;
}

static bool read_xattrs(const struct scanner *s, struct node *node, const char *path, int fd,
                        struct fault *fault)
{
	const char *reason = NULL;

	if (node_xattrs(node, fd, s->options->setid, &reason))
		return true;
	return reason            ? refused(s, path, reason, fault)
	       : errno == EAGAIN ? tree_changed(s->tree, path, fault)
	                         : tree_failed(s->tree, path, "read xattrs", fault);
}

/* Is what NOW describes what ST was found for, and unchanged since then? The number of an inode that is gone
 * is given to another one, perhaps outside the tree; its ctime is not. */
static bool same(const struct stat *now, const struct stat *st)
{
	return now->st_ino == st->st_ino && now->st_dev == st->st_dev &&
	       same_instant(now->st_ctim, st->st_ctim);
}

/* Those of file NAME of directory DIR, which ST was found for. */
static bool read_file_xattrs(struct scanner *s, struct node *node, int dir, const char *path,
                             const struct stat *st, struct fault *fault)
{
	struct stat now;

	if (!s->options->xattrs)
		return true;
	int fd = openat(dir, node->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool done = fd >= 0
	                ? ((fstat(fd, &now) == 0 && same(&now, st)) || tree_changed(s->tree, path, fault)) &&
	                      read_xattrs(s, node, path, fd, fault)
	                : tree_lost(s->tree, path, "open", fault);
	close_fd(&fd);
	return done;
}

static bool fill_node(struct scanner *s, struct node *node, const char *name, uint32_t parent,
                      const char *path, const struct stat *st, struct fault *fault)
{
	const struct scan_options *o = s->options;
	uint32_t setid = st->st_mode & SETID_MASK;
	bool link = S_ISLNK(st->st_mode), late = o->clamp && st->st_mtim.tv_sec >= o->epoch;

	if (!late && (st->st_mtim.tv_nsec < 0 || st->st_mtim.tv_nsec >= 1000000000))
		return refused(s, path, "has a time whose nanoseconds are out of range", fault);
	*node = (struct node){
	    .name = strdup(name),
	    .parent = parent,
	    .mode = link ? 0777 : st->st_mode & (o->setid ? MODE_MASK : 0777),
	    .uid = o->preserve_owner ? st->st_uid : o->uid,
	    .gid = o->preserve_owner ? st->st_gid : o->gid,
	    .mtime = late ? o->epoch : st->st_mtim.tv_sec,
	    .nsec = late ? 0 : (uint32_t)st->st_mtim.tv_nsec,
	};
	node->setid = !link && setid && o->setid;
	if (!link && setid && !o->setid)
		s->tree->setid_dropped++;
	return node->name || no_memory(s, fault);
}

/* A file that has other names: the first of them in the tree is the file, the others are links to it. */
static bool note_inode(struct scanner *s, uint32_t number, struct fault *fault)
{
	struct tree_entry *e = &s->tree->entries[number];
	uint32_t first;

	if (!inodes_first(&s->inodes, s->tree, number, &first))
		return no_memory(s, fault);
	if (first == number)
		return true;
	char *name = e->node.name;
	uint32_t parent = e->node.parent;
	free(e->node.xattrs);
	*e = (struct tree_entry){
	    .type = ENTRY_HARDLINK, .size = first, .node = {.name = name, .parent = parent}};
	return true;
}

static bool read_target(struct scanner *s, struct tree_entry *e, int dir, const char *path,
                        const struct stat *st, struct fault *fault)
{
	char target[PATH_LEN_MAX + 2];
	struct stat now;
	ssize_t len = readlinkat(dir, e->node.name, target, sizeof target - 1);
	if (len < 0)
		return errno == EINVAL ? tree_changed(s->tree, path, fault)
		                       : tree_lost(s->tree, path, "read link", fault);
	if (len == 0 || len > PATH_LEN_MAX)
		return refused(s, path, "has a target that is empty or too long", fault);
	/* What ST says must not be another link's. */
	if (fstatat(dir, e->node.name, &now, AT_SYMLINK_NOFOLLOW) != 0 || !same(&now, st))
		return tree_changed(s->tree, path, fault);
	target[len] = '\0';
	e->target = strdup(target);
	return e->target || no_memory(s, fault);
}

static bool add_entry(struct scanner *s, uint32_t dir, int fd, const char *name, const char *path,
                      const struct stat *st, struct fault *fault)
{
	struct tree *t = s->tree;

	if (st->st_size < 0)
		return refused(s, path, "has a size below 0", fault);
	if (!grow(&t->entries, t->entry_count, &t->entry_room, sizeof *t->entries))
		return no_memory(s, fault);
	uint32_t number = t->entry_count;
	struct tree_entry *e = &t->entries[number];
	*e = (struct tree_entry){
	    .type = S_ISLNK(st->st_mode) ? ENTRY_SYMLINK : ENTRY_FILE,
	    .size = S_ISLNK(st->st_mode) ? 0 : (uint64_t)st->st_size,
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .changed = st->st_ctim,
	    .modified = st->st_mtim,
	};
	if (!fill_node(s, &e->node, name, dir, path, st, fault))
		return false;
	t->entry_count++;
	if (e->type == ENTRY_SYMLINK)
		return read_target(s, e, fd, path, st, fault);
	if (!read_file_xattrs(s, &e->node, fd, path, st, fault))
		return false;
	return st->st_nlink < 2 || note_inode(s, number, fault);
}

static const char *special_name(mode_t mode)
{
	return S_ISFIFO(mode)   ? "is a fifo (--skip-special leaves it out)"
	       : S_ISSOCK(mode) ? "is a socket (--skip-special leaves it out)"
	                        : "is a device (--skip-special leaves it out)";
}

/* Stat NAME of directory DIR again when it has changed so lately that the next change might not show. */
static bool settle(struct scanner *s, int dir, const char *name, const char *path, struct stat *st,
                   struct fault *fault)
{
	mode_t type = st->st_mode & S_IFMT;

	for (unsigned tries = 0; tries < 2 && is_recent(st->st_ctim); tries++) {
		if (!outlast(st->st_ctim, fault))
			return false;
		if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) != 0)
			return tree_lost(s->tree, path, "stat", fault);
	}
	return ((st->st_mode & S_IFMT) == type && !is_recent(st->st_ctim)) ||
	       tree_changed(s->tree, path, fault);
}

/* What is to become of NAME: an entry, a directory to go into later, or nothing (*SKIP). */
static bool look_at(struct scanner *s, uint32_t dir, int fd, const char *name, const char *path,
                    struct stat *st, bool *skip, struct fault *fault)
{
	const struct scan_options *o = s->options;

	*skip = dir == 0 && o->ignore_file && strcmp(name, o->ignore_file) == 0;
	if (*skip)
		return true;
	if (fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) != 0)
		return tree_lost(s->tree, path, "stat", fault);
	bool is_dir = S_ISDIR(st->st_mode), reserved = dir == 0 && name_reserved(name, strlen(name));
	bool lost_found = dir == 0 && is_dir && strcmp(name, LOST_FOUND) == 0; /* of a file system's root */
	bool enters = is_dir && !reserved && ignore_may_take_back(o->ignore, path, strlen(path));
	*skip = lost_found || (!enters && ignore_matches(o->ignore, path, strlen(path)));
	if (*skip)
		return true;
	if (reserved)
		return refused(
		    s, path,
		    "is a name that decant or the file system keeps for itself at the root; exclude it",
		    fault);
	if (is_dir || S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		return settle(s, fd, name, path, st, fault);
	if (!o->skip_special)
		return refused(s, path, special_name(st->st_mode), fault);
	s->tree->special++;
	*skip = true;
	return true;
}

/* Entries first, then the directories, each in the order of the names. */
static bool scan_names(struct scanner *s, uint32_t number, int fd, const struct names *names,
                       struct stat *stats, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	for (uint32_t i = 0; i < names->count; i++) {
		const char *name = names_get(names, i).s;
		bool skip;
		stats[i].st_mode = 0;
		if (!stop_check(fault))
			return false;
		if (tree_path(s->tree, number, name, path) == 0) {
			tree_path(s->tree, number, NULL, path);
			return refused(s, path, "holds a name whose path is longer than PATH_MAX", fault);
		}
		if (!look_at(s, number, fd, name, path, &stats[i], &skip, fault))
			return false;
		bool is_dir = S_ISDIR(stats[i].st_mode);
		if (!skip && !is_dir && !add_entry(s, number, fd, name, path, &stats[i], fault))
			return false;
		if (skip || !is_dir)
			stats[i].st_mode = 0;
	}
	s->tree->dirs[number].count = s->tree->entry_count - s->tree->dirs[number].first;
	return true;
}

/* A directory that changes while it is read may tell a name twice. */
static bool all_differ(const struct names *names)
{
	for (uint32_t i = 1; i < names->count; i++)
		if (strcmp(names_get(names, i - 1).s, names_get(names, i).s) == 0)
			return false;
	return true;
}

/* Is all that ST says of a directory still so, but perhaps its ctime? An overlay may give it another inode
 * number meanwhile; that it is another one shows in the end, by the directory above. */
static bool is_alike(const struct stat *now, const struct stat *st)
{
	return now->st_dev == st->st_dev && now->st_mode == st->st_mode && now->st_uid == st->st_uid &&
	       now->st_gid == st->st_gid && same_instant(now->st_mtim, st->st_mtim);
}

/* Is directory FD still what ST says? Reading it may change its ctime, the first time: overlayfs takes a mark
 * off that no longer holds when it is listed, and sets one when what is in it is looked up. */
static bool is_still(struct scanner *s, int fd, const char *path, struct stat *st, struct fault *fault)
{
	struct stat now;

	if (fstat(fd, &now) != 0)
		return tree_lost(s->tree, path, "read directory", fault);
	bool marked = !same_instant(now.st_ctim, st->st_ctim);
	if (!is_alike(&now, st) || (marked && s->again))
		return tree_changed(s->tree, path, fault);
	s->marked = s->marked || marked;
	st->st_ctim = now.st_ctim;
	return true;
}

/* The names in directory FD, which ST was found for. */
static bool list(struct scanner *s, int fd, const char *path, struct stat *st, struct names *names,
                 struct fault *fault)
{
	if (!names_read(fd, names))
		return tree_lost(s->tree, path, "read directory", fault);
	return is_still(s, fd, path, st, fault) && (all_differ(names) || tree_changed(s->tree, path, fault));
}

static void free_level(struct level *level)
{
	names_free(&level->names);
	free(level->stats);
}

/* Read what directory NUMBER of the tree has, and begin a level of the walk there. */
static bool scan_dir(struct scanner *s, uint32_t number, const char *path, const struct stat *found,
                     struct fault *fault)
{
	struct level level = {.number = number, .mode = found->st_mode};
	struct stat st = *found;
	bool done = false;

	if (!stop_check(fault))
		return false;
	int fd = tree_open(s->tree, *path ? path : ".", O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		tree_lost(s->tree, path, "read directory", fault);
	} else if (list(s, fd, path, &st, &level.names, fault) &&
	           (!s->options->xattrs || read_xattrs(s, &s->tree->dirs[number].node, path, fd, fault))) {
		level.stats = malloc(((size_t)level.names.count + 1) * sizeof *level.stats);
		done = level.stats && grow(&s->levels, s->depth, &s->level_room, sizeof *s->levels)
		           ? scan_names(s, number, fd, &level.names, level.stats, fault) &&
		                 is_still(s, fd, path, &st, fault)
		           : no_memory(s, fault);
		s->tree->dirs[number].changed = st.st_ctim;
	}
	close_fd(&fd);
	if (done)
		s->levels[s->depth++] = level;
	else
		free_level(&level);
	return done;
}

static bool enter(struct scanner *s, uint32_t parent, const char *name, const char *path,
                  const struct stat *st, struct fault *fault)
{
	struct tree *t = s->tree;
	uint32_t number = t->dir_count;

	if (!grow(&t->dirs, number, &t->dir_room, sizeof *t->dirs))
		return no_memory(s, fault);
	t->dirs[number] = (struct tree_dir){.first = t->entry_count};
	if (!fill_node(s, &t->dirs[number].node, name, parent, path, st, fault))
		return false;
	t->dir_count++;
	return scan_dir(s, number, path, st, fault);
}

/* The last directory of the tree is left out after all. */
static bool take_out(struct scanner *s, const char *path, mode_t mode, struct fault *fault)
{
	struct tree *t = s->tree;
	struct tree_dir *dir = &t->dirs[--t->dir_count];

	free(dir->node.name);
	free(dir->node.xattrs);
	t->setid_dropped -= (mode & SETID_MASK) && !s->options->setid;
	dir->node.name =
	    grow(&t->empty, t->empty_count, &t->empty_room, sizeof *t->empty) ? strdup(path) : NULL;
	if (dir->node.name)
		t->empty[t->empty_count++] = *dir;
	return dir->node.name || no_memory(s, fault);
}

/* The directory is done: take it back when it is ignored and nothing in it is not. */
static bool leave(struct scanner *s, struct fault *fault)
{
	struct level *level = &s->levels[--s->depth];
	const struct tree *t = s->tree;
	uint32_t number = level->number;
	char path[PATH_LEN_MAX + 1];

	free_level(level);
	return number == 0 || t->dir_count != number + 1 || t->entry_count != t->dirs[number].first ||
	       !ignore_matches(s->options->ignore, path, tree_path(t, number, NULL, path)) ||
	       take_out(s, path, level->mode, fault);
}

/* Go on in the deepest level. */
static bool walk(struct scanner *s, struct fault *fault)
{
	struct level *level = &s->levels[s->depth - 1];
	char path[PATH_LEN_MAX + 1];

	while (level->next < level->names.count && level->stats[level->next].st_mode == 0)
		level->next++;
	if (level->next == level->names.count)
		return leave(s, fault);
	const char *name = names_get(&level->names, level->next).s;
	const struct stat *st = &level->stats[level->next++];
	tree_path(s->tree, level->number, name, path); /* fits: scan_names has seen to it */
	return enter(s, level->number, name, path, st, fault);
}

static bool scan_once(struct scanner *s, const char *path, struct fault *fault)
{
	struct tree *t = s->tree;
	struct stat st;

	*t = (struct tree){.path = path};
	t->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->root < 0 || fstat(t->root, &st) != 0)
		return fault_errno(fault, errno, path, "open");
	bool done = settle(s, t->root, ".", "", &st, fault) && enter(s, 0, "", "", &st, fault);
	while (done && s->depth)
		done = walk(s, fault);
	while (s->depth)
		free_level(&s->levels[--s->depth]);
	free(s->levels);
	free(s->inodes.first);
	return done;
}

bool scan(struct tree *t, const char *path, const struct scan_options *options, struct fault *fault)
{
	struct scanner s = {.tree = t, .options = options};
	bool done = scan_once(&s, path, fault);

	if (done && s.marked) {
		done = tree_settled(t, fault);
		tree_free(t);
		s = (struct scanner){.tree = t, .options = options, .again = true};
		done = done && scan_once(&s, path, fault);
	}
	for (uint32_t i = 0; i < t->dir_count; i++)
		t->has_setid = t->has_setid || t->dirs[i].node.setid;
	for (uint32_t i = 0; i < t->entry_count; i++)
		t->has_setid = t->has_setid || t->entries[i].node.setid;
	return done;
}
