#include "orders.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "volume.h"

/* Somebody who can write in the volume, at NAME of the open directory DIR. */
struct spot {
	int dir;
	char name[256];
	uint8_t how;
};

static void be_file(const struct spot *s, const char *text)
{
	int fd = openat(s->dir, s->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		broken("an order could not be obeyed");
	if (fd >= 0)
		close(fd);
}

static void be_link(const struct spot *s)
{
	static const char *const to[] = {"/mnt/canary", "/mnt/canary/dir",  "/mnt/canary/file",
	                                 "../canary",   "../../canary/dir", ".",
	                                 "..",          "nowhere"};
	if (symlinkat(to[s->how % 8], s->dir, s->name) != 0 && s->name[0] == 0)
		broken("a name without bytes");
}

/* What decant must leave alone, this must not touch either. */
static bool is_canary(const struct spot *s)
{
	struct stat st, canary;
	return fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(canary_fd, "file", &canary, 0) == 0 && st.st_ino == canary.st_ino &&
	       st.st_dev == canary.st_dev;
}

/* Takes NAME away, whatever it is. */
static void clear(const struct spot *s)
{
	char aside[40];

	if (unlinkat(s->dir, s->name, 0) == 0 || unlinkat(s->dir, s->name, AT_REMOVEDIR) == 0)
		return;
	snprintf(aside, sizeof aside, "aside-%u", s->how);
	(void)!renameat(s->dir, s->name, s->dir, aside);
}

static void touch_bytes(const struct spot *s)
{
	struct stat st;
	uint8_t byte = s->how;
	int fd = openat(s->dir, s->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		off_t at = st.st_size ? s->how % st.st_size : 0;
		(void)!pread(fd, &byte, 1, at);
		byte ^= 0x40;
		(void)!pwrite(fd, &byte, 1, at);
		if (s->how & 1) /* and nobody sees it by the time */
			futimens(fd, (struct timespec[2]){st.st_atim, st.st_mtim});
	}
	if (fd >= 0)
		close(fd);
}

static void touch_metadata(const struct spot *s)
{
	int fd = openat(s->dir, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	switch (s->how % 4) {
	case 0:
		if (fd >= 0)
			fchmod(fd, s->how >> 2 & 1 ? 0 : 07000u + s->how);
		break;
	case 1:
		(void)!fchownat(s->dir, s->name, s->how, s->how, AT_SYMLINK_NOFOLLOW);
		break;
	case 2:
		utimensat(s->dir, s->name, (struct timespec[2]){{.tv_sec = s->how}, {.tv_sec = s->how}},
		          AT_SYMLINK_NOFOLLOW);
		break;
	default:
		if (fd >= 0)
			fsetxattr(fd, "user.planted", "x", 1, 0);
	}
	if (fd >= 0)
		close(fd);
}

static void act(const struct spot *s, uint8_t what)
{
	struct spot beside = *s;

	if ((what % 9 == 4 || what % 9 == 5) && is_canary(s))
		return;
	switch (what % 9) {
	case 0:
		clear(s);
		break;
	case 1:
		clear(s);
		be_link(s);
		break;
	case 2:
		clear(s);
		if (mkdirat(s->dir, s->name, s->how & 1 ? 0 : 0755) == 0) {
			beside.dir = openat(s->dir, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			snprintf(beside.name, sizeof beside.name, "inner-%u", s->how);
			be_file(&beside, "inner");
			close(beside.dir);
		}
		break;
	case 3:
		clear(s);
		mknodat(s->dir, s->name, (s->how & 1 ? S_IFIFO : S_IFSOCK) | 0600, 0);
		break;
	case 4:
		touch_metadata(s);
		break;
	case 5:
		touch_bytes(s);
		break;
	case 6: /* a stranger, a link to the canary, another name of the same file */
		snprintf(beside.name, sizeof beside.name, "stranger-%u", s->how);
		if (s->how % 3 == 0)
			be_link(&beside);
		else if (s->how % 3 == 1)
			be_file(&beside, "stranger");
		else
			(void)!linkat(s->dir, s->name, s->dir, beside.name, 0);
		break;
	case 7: /* a file that has a name outside, too */
		clear(s);
		(void)!linkat(canary_fd, "file", s->dir, s->name, 0);
		break;
	default:
		clear(s);
		be_file(s, "planted");
	}
}

/* In .decant, where only the owner can be, and in its tmp, if that is no link by now. */
static void act_on_state(struct spot *s, uint8_t what)
{
	static const char *const names[] = {"state", "lock", "tmp", "journal-0", "0", "trash-0", "journal"};
	static const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	unsigned which = s->how % 7;
	char other[300];
	int decant = openat(volume_fd, ".decant", flags);

	if (decant >= 0 && which > 3) {
		int tmp = openat(decant, "tmp", flags);
		close(decant);
		decant = tmp;
	}
	if (decant < 0)
		return;
	s->dir = decant;
	snprintf(s->name, sizeof s->name, "%s", names[which]);
	snprintf(other, sizeof other, "journal-%u", s->how);
	if (what % 3 == 0 && s->how % 7 != 1)
		(void)!renameat(decant, s->name, decant, other);
	else if (what % 3 == 1 && !is_canary(s))
		touch_bytes(s);
	else
		act(s, (uint8_t)(what / 3));
	close(decant);
}

/* The directory of entry or directory WHICH of REF, opened without following a link, and its last name. */
static bool find(struct spot *s, const struct ref *ref, uint32_t which)
{
	uint32_t chain[64], depth = 0, all = ref->dirs - 1 + ref->entries;
	if (all == 0)
		return false;
	which %= all;
	bool is_dir = which < ref->dirs - 1;
	const struct ref_entry *e = is_dir ? NULL : &ref->entry[which - (ref->dirs - 1)];
	struct bytes name = is_dir ? ref->dir[which + 1].name : e->name;
	uint32_t dir = is_dir ? ref->dir[which + 1].parent : e->dir;

	for (; dir && depth < 64; dir = ref->dir[dir].parent)
		chain[depth++] = dir;
	s->dir = openat(volume_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (depth && s->dir >= 0) {
		struct bytes next = ref->dir[chain[--depth]].name;
		memcpy(s->name, next.s, next.n);
		s->name[next.n] = '\0';
		int inner = openat(s->dir, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(s->dir);
		s->dir = inner;
	}
	memcpy(s->name, name.s, name.n);
	s->name[name.n] = '\0';
	return s->dir >= 0;
}

unsigned obey(const uint8_t *orders, size_t size, const struct ref *ref)
{
	unsigned did = 0;

	for (size_t i = 0; i + 3 <= size && i < 24; i += 3) {
		struct spot spot = {.dir = -1, .how = orders[i + 2]};
		if (orders[i] >= 224) {
			act_on_state(&spot, orders[i]);
			did |= DID_STATE;
		} else if (find(&spot, ref, orders[i + 1])) {
			act(&spot, orders[i]);
			close(spot.dir);
			did |= DID_TREE;
		}
	}
	return did;
}
