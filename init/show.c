#include "show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle.h"
#include "dest.h"
#include "path.h"
#include "state.h"
#include "switch.h"

static void print_mode(char type, uint32_t mode)
{
	static const char bits[] = "rwxrwxrwx";
	char text[11] = {type};
	for (unsigned i = 0; i < 9; i++)
		text[1 + i] = mode >> (8 - i) & 1 ? bits[i] : '-';
	if (mode & 04000)
		text[3] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		text[6] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		text[9] = mode & 0001 ? 't' : 'T';
	printf("%.10s", text);
}

/* Seconds since 1970 as UTC, to OUT; years that a calendar cannot show stay a number. */
static void format_time(char *out, size_t size, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	if (gmtime_r(&t, &tm))
		snprintf(out, size, "%04lld-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900LL, tm.tm_mon + 1,
		         tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		snprintf(out, size, "%lld", (long long)seconds);
}

static void print_name(const struct options *o, const char *dir, struct text name, const char *end)
{
	char path[2 * PATH_LEN_MAX], safe[4 * sizeof path];
	int n = snprintf(path, sizeof path, "%s%s%.*s%s", dir, *dir && name.len ? "/" : "", (int)name.len,
	                 name.s, end);
	if (o->null)
		fwrite(path, 1, (size_t)n, stdout);
	else
		fputs(name_escape(safe, sizeof safe, path, (size_t)n), stdout);
}

static void print_long(const struct metadata *m, char type, uint64_t size)
{
	char when[64];
	print_mode(type, m->mode);
	printf(" %u/%u %llu ", (unsigned)m->uid, (unsigned)m->gid, (unsigned long long)size);
	format_time(when, sizeof when, m->mtime);
	printf("%s.%09uZ ", when, (unsigned)m->nsec);
}

/* Entry NUMBER, which a hard link equals, and the path of its directory. */
static bool find_target(struct reader *r, uint32_t number, struct entry *e, char *path, struct fault *fault)
{
	const struct catalog *c = &r->bundle->catalog;
	uint32_t frame = catalog_frame_of(c, number), dir = catalog_dir_of(c, number);

	if (!reader_block(r, frame, fault))
		return false;
	*path = '\0';
	if (dir)
		catalog_path(c, dir, path);
	*e = block_entry(&r->block, number - c->frame_first[frame]);
	return true;
}

static bool print_entry(const struct options *o, const char *dir, const struct entry *e,
                        struct reader *targets, struct fault *fault)
{
	static const char types[] = "-lh";
	char path[PATH_LEN_MAX + 1];
	struct entry file = *e;

	/* A hard link has the metadata of the file that it equals. */
	if (e->type == ENTRY_HARDLINK && !find_target(targets, (uint32_t)e->size, &file, path, fault))
		return false;
	struct metadata meta = metadata_of_entry(&file);
	if (o->long_list)
		print_long(&meta, types[e->type], file.size);
	print_name(o, dir, e->name, "");
	if (o->long_list && e->type == ENTRY_SYMLINK) {
		fputs(" -> ", stdout);
		print_name(o, "", e->target, "");
	} else if (o->long_list && e->type == ENTRY_HARDLINK) {
		fputs(" link to ", stdout);
		print_name(o, path, file.name, "");
	}
	putchar(o->null ? '\0' : '\n');
	return true;
}

static bool list_frame(const struct options *o, struct reader *r, struct reader *targets, uint32_t number,
                       struct fault *fault)
{
	const struct catalog *c = &r->bundle->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!reader_block(r, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		char path[PATH_LEN_MAX + 1] = "";
		if (!stop_check(fault))
			return false;
		if (span.dir)
			catalog_path(c, span.dir, path);
		if (span.begins && span.dir) {
			struct dir dir = catalog_dir(c, span.dir);
			struct metadata meta = metadata_of_dir(&dir);
			if (o->long_list)
				print_long(&meta, 'd', 0);
			print_name(o, path, (struct text){"", 0}, "/");
			putchar(o->null ? '\0' : '\n');
		}
		for (uint32_t i = span.from; i < span.to; i++) {
			struct entry e = block_entry(&r->block, i - c->frame_first[number]);
			if (!stop_check(fault) || !print_entry(o, path, &e, targets, fault))
				return false;
		}
	}
	return true;
}

static bool flush_output(struct fault *fault)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return fault_errno(fault, errno, "standard output", "write");
	return true;
}

bool show_list(const struct options *o, const char *name, struct fault *fault)
{
	struct reader reader, targets;
	struct bundle b;

	if (!bundle_open(&b, name, fault))
		return false;
	reader_init(&reader, &b);
	reader_init(&targets, &b);
	for (uint32_t i = 0; i < b.catalog.head.frames; i++)
		if (!list_frame(o, &reader, &targets, i, fault))
			break;
	if (!fault->code)
		bundle_drain(&b);
	reader_free(&reader);
	reader_free(&targets);
	bundle_close(&b);
	return !fault->code && flush_output(fault);
}

/* One line "KEY: VALUE", or one member of a JSON object. */
static void print_text(const struct options *o, const char *key, struct text value)
{
	char safe[8192];
	name_escape(safe, sizeof safe, value.s, value.len);
	if (!o->json) {
		printf("%s: %s\n", key, *safe ? safe : "-");
		return;
	}
	printf("\"%s\":\"", key);
	for (const char *s = safe; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	printf("\",");
}

static void print_number(const struct options *o, const char *key, uint64_t value)
{
	printf(o->json ? "\"%s\":%llu," : "%s: %llu\n", key, (unsigned long long)value);
}

static void print_catalog(const struct options *o, const struct bundle *b)
{
	const struct catalog *c = &b->catalog;
	if (o->json)
		putchar('{');
	print_text(o, "bundle", (struct text){b->id, strlen(b->id)});
	print_text(o, "revision", c->revision);
	print_text(o, "dest", c->dest);
	struct dir root = catalog_dir(c, 0);
	char text[48];
	int n = snprintf(text, sizeof text, "%04o %u:%u", (unsigned)root.mode, (unsigned)root.uid,
	                 (unsigned)root.gid);
	print_text(o, "root", (struct text){text, (size_t)n});
	print_number(o, "files", c->files);
	print_number(o, "symlinks", c->symlinks);
	print_number(o, "hardlinks", c->hardlinks);
	print_number(o, "directories", c->head.dirs);
	print_number(o, "bytes", c->content);
	print_number(o, "disk", c->disk);
	print_number(o, "frames", c->head.frames);
	print_number(o, "packed", b->size);
	print_text(o, "packer", c->packer);
}

static void print_release(const struct options *o, const struct bundle *past, int64_t filled)
{
	struct text revision = past->catalog.revision;
	char when[72], safe[2048];

	format_time(when, sizeof when, filled);
	if (o->json) {
		putchar('{');
		print_text(o, "bundle", (struct text){past->id, strlen(past->id)});
		print_text(o, "revision", revision);
		printf("\"filled\":\"%sZ\"}", when);
	} else {
		name_escape(safe, sizeof safe, revision.s, revision.len);
		printf("kept: %s, revision %s, filled %sZ\n", past->id, *safe ? safe : "-", when);
	}
}

/* Release NUMBER of R, if it is whole: an index in the volume of S, or else what the state of a tree in DIR
 * says. */
static bool find_release(const struct releases *r, uint32_t number, struct state *s, const struct dest *dir,
                         struct bundle *past, int64_t *filled, bool *found, struct fault *fault)
{
	const char *id = releases_id(r, number);
	struct fault none = {.code = EXIT_DONE};
	struct dest tree = {.root = -1};

	if (!dir)
		return state_past(s, names_get(&r->names, number).s, past, found, filled, fault);
	struct state inner = {.dir = -1, .lock = -1, .tmp = -1, .journal = -1};
	bool other = id && strcmp(id, s->held.id) != 0;
	if (other && !dest_within(&tree, dir, id, false))
		other = fault_errno(&none, errno, id, "open");
	*found = other && state_peek(&inner, &tree, &none) && strcmp(inner.held.id, id) == 0;
	dest_close(&tree);
	if (*found) {
		*past = inner.held;
		*filled = inner.filled;
		inner.has_held = false;
	}
	state_close(&inner);
	/* That it could not be read does not say that it is not there. */
	if (none.code != EXIT_DONE && none.code != EXIT_VOLUME)
		*fault = none;
	return fault->code == EXIT_DONE;
}

/* The releases that are kept, newest first; DIR and KEPT if they are whole trees. */
static bool print_releases(const struct options *o, struct state *s, const struct dest *dir,
                           const struct releases *kept, struct fault *fault)
{
	const char *gap = "";

	if (o->json)
		fputs("\"releases\":[", stdout);
	for (uint32_t i = kept->names.count; i-- > 0;) {
		struct bundle past;
		int64_t filled;
		bool found;
		if (!find_release(kept, i, s, dir, &past, &filled, &found, fault))
			return false;
		if (!found)
			continue;
		if (o->json)
			fputs(gap, stdout);
		print_release(o, &past, filled);
		gap = ",";
		bundle_close(&past);
	}
	if (o->json)
		fputs("],", stdout);
	return true;
}

static bool show_volume(const struct options *o, const char *name, struct fault *fault)
{
	struct state state = {.dir = -1, .lock = -1, .tmp = -1, .journal = -1};
	struct dest dest, tree;
	struct releases kept;
	char when[72];
	bool opened = dest_open(&dest, name, false, fault),
	     switched = opened && switch_peek(&dest, &tree, &kept, fault);

	if (opened && !fault->code && state_peek(&state, switched ? &tree : &dest, fault)) {
		format_time(when, sizeof when - 1, state.filled);
		strcat(when, "Z");
		/* What follows the index in the bundle is not known here. */
		state.held.size =
		    bundle_index_size(&state.held) + LEAD_TOTAL + state.held.catalog.head.data_packed;
		print_catalog(o, &state.held);
		print_text(o, "filled", (struct text){when, strlen(when)});
		print_text(o, "synced", state.synced ? (struct text){"yes", 3} : (struct text){"no", 2});
		if (switched)
			print_text(o, "current", (struct text){state.held.id, strlen(state.held.id)});
		print_releases(o, &state, switched ? &dest : NULL, switched ? &kept : &state.releases, fault);
	}
	state_close(&state);
	if (switched) {
		dest_close(&tree);
		releases_free(&kept);
	}
	dest_close(&dest);
	return fault->code == EXIT_DONE;
}

bool show_info(const struct options *o, const char *name, struct fault *fault)
{
	struct bundle b;
	struct stat st;
	bool is_dir = strcmp(name, "-") != 0 && stat(name, &st) == 0 && S_ISDIR(st.st_mode);

	if (is_dir ? !show_volume(o, name, fault) : !bundle_open(&b, name, fault))
		return false;
	if (!is_dir) {
		print_catalog(o, &b);
		bundle_drain(&b);
		bundle_close(&b);
	}
	if (o->json)
		printf("\"kind\":\"%s\"}\n", is_dir ? "volume" : "bundle");
	return flush_output(fault);
}
