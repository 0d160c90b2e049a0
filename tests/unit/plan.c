/* plan.c - tests of init/plan.h, on real volumes and bundles that are packed here. */
#include "plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "encode.h"
#include "layout.h"
#include "scan.h"
#include "unit.h"

/* The tree: sub/a sub/b (a link to a) sub/l -> a, top, large (over two frames), void/. */
enum { SUB_A, SUB_B, SUB_L, LARGE, TOP, COUNT };
static const char *const paths[COUNT] = {"sub/a", "sub/b", "sub/l", "large", "top"};

static char base[64];

static const char *at(const char *dir, const char *name)
{
	static char path[2][256];
	static unsigned turn;
	turn ^= 1;
	snprintf(path[turn], sizeof path[turn], "%s/%s%s%s", base, dir, *name ? "/" : "", name);
	return path[turn];
}

static void set_time(const char *path)
{
	const struct timespec times[2] = {{1700000000, 5}, {1700000000, 5}};
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_file(const char *path, size_t size, char c)
{
	char *bytes = malloc(size);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert(fd >= 0 && bytes);
	memset(bytes, c, size);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	free(bytes);
	set_time(path);
}

static void set_dir_times(const char *dir)
{
	set_time(at(dir, "sub"));
	set_time(at(dir, "void"));
	set_time(at(dir, ""));
}

static void make_tree(const char *dir, char top)
{
	ck_assert_int_eq(mkdir(at(dir, ""), 0755), 0);
	ck_assert_int_eq(mkdir(at(dir, "sub"), 0755), 0);
	ck_assert_int_eq(mkdir(at(dir, "void"), 0755), 0);
	make_file(at(dir, "sub/a"), 100, 'a');
	make_file(at(dir, "top"), 10, top);
	make_file(at(dir, "large"), LAYOUT_MAX + 1000, 'l');
	ck_assert_int_eq(link(at(dir, "sub/a"), at(dir, "sub/b")), 0);
	ck_assert_int_eq(symlink("a", at(dir, "sub/l")), 0);
	set_time(at(dir, "sub/l"));
	set_dir_times(dir);
}

/* Pack directory DIR to file NAME and open that. */
static void pack(struct bundle *bundle, const char *dir, const char *name)
{
	const struct ignore none = {0};
	const struct scan_options scanning = {.ignore = &none, .preserve_owner = true};
	const struct encode_options encoding = {
	    .level = 1, .threads = 1, .dest = "", .revision = "", .packer = ""};
	struct fault fault = {.code = EXIT_DONE};
	struct tree tree = {.root = -1};
	struct layout layout = {0};
	struct encoded encoded = {.data = -1};
	char path[256], piece[4096];

	snprintf(path, sizeof path, "%s/%s", base, dir);
	ck_assert_msg(encoded_open(&encoded, base, &fault) && scan(&tree, path, &scanning, &fault) &&
	                  layout_make(&layout, &tree, &fault) &&
	                  encode(&encoded, &tree, &layout, &encoding, &fault),
	              "%s: %s: %s", fault.object, fault.action, fault.reason);
	snprintf(path, sizeof path, "%s/%s", base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, encoded.index, encoded.index_size), (ssize_t)encoded.index_size);
	for (off_t from = 0;;) {
		ssize_t n = pread(encoded.data, piece, sizeof piece, from);
		if (n <= 0)
			break;
		must(write(fd, piece, (size_t)n) == n);
		from += n;
	}
	close(fd);
	encoded_free(&encoded);
	layout_free(&layout);
	tree_free(&tree);
	ck_assert_msg(bundle_open(bundle, path, &fault), "%s: %s", fault.action, fault.reason);
}

/* A volume V, and the bundles of trees S and T, which differ in the bytes of "top". */
struct place {
	struct bundle s, t;
	struct dest dest;
	struct state state;
	struct plan plan;
};

static void set_up(struct place *p)
{
	umask(0);
	unit_dir(base);
	make_tree("s", 's');
	make_tree("t", 't');
	pack(&p->s, "s", "s.bundle");
	pack(&p->t, "t", "t.bundle");
}

static void open_volume(struct place *p)
{
	struct fault fault = {.code = EXIT_DONE};
	ck_assert_msg(dest_open(&p->dest, at("v", ""), true, &fault) &&
	                  state_lock(&p->state, &p->dest, 0, &fault) && state_load(&p->state, &fault),
	              "%s: %s: %s", fault.object, fault.action, fault.reason);
}

static void close_volume(struct place *p)
{
	state_close(&p->state);
	dest_close(&p->dest);
}

static void plan(struct place *p, struct bundle *bundle)
{
	struct fault fault = {.code = EXIT_DONE};
	ck_assert_msg(plan_make(&p->plan, bundle, &p->state, 2, 4096, &fault), "%s: %s: %s", fault.object,
	              fault.action, fault.reason);
}

static void tear_down(struct place *p)
{
	bundle_close(&p->s);
	bundle_close(&p->t);
	unit_dir_remove(base);
}

static const char *const actions[] = {"keep", "amend", "check", "new", "replace"};

static uint32_t number_of(struct bundle *bundle, const char *path)
{
	struct catalog *c = &bundle->catalog;
	for (uint32_t f = 0; f < c->head.frames; f++) {
		struct fault fault = {.code = EXIT_DONE};
		struct reader reader;
		reader_init(&reader, bundle);
		ck_assert(reader_block(&reader, f, &fault));
		struct frame frame = catalog_frame(c, f);
		for (uint32_t i = 0; i < frame.count; i++) {
			char name[PATH_LEN_MAX + 300], dir[PATH_LEN_MAX + 1];
			struct entry e = block_entry(&reader.block, i);
			uint32_t in = catalog_dir_of(c, frame.first + i);
			catalog_path(c, in, dir);
			snprintf(name, sizeof name, "%s%s%.*s", in ? dir : "", in ? "/" : "", (int)e.name.len,
			         e.name.s);
			if (strcmp(name, path) == 0) {
				reader_free(&reader);
				return frame.first + i;
			}
		}
		reader_free(&reader);
	}
	ck_abort_msg("%s is not in the bundle", path);
	return 0;
}

/* The plan for the entries, in the order of PATHS; its counts must say the same. */
static void check_plan(struct place *p, struct bundle *bundle, const char *const *expected)
{
	uint64_t count[5] = {0};
	for (int i = 0; i < COUNT; i++) {
		unsigned action = p->plan.entry[number_of(bundle, paths[i])];
		ck_assert_uint_lt(action, 5);
		ck_assert_msg(strcmp(actions[action], expected[i]) == 0, "%s: %s, not %s", paths[i],
		              actions[action], expected[i]);
		count[action]++;
	}
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(p->plan.count[i], count[i]);
}
#define PLANNED(place, bundle, ...) check_plan(place, bundle, (const char *const[COUNT]){__VA_ARGS__})

/* What a fill of S leaves: its tree, and a state that says so. */
static void fill_by_hand(struct place *p)
{
	struct fault fault = {.code = EXIT_DONE};
	const struct timespec tick = {.tv_nsec = 30 * 1000 * 1000};
	open_volume(p);
	set_time(at("v", "")); /* it has a new name now: .decant */
	nanosleep(&tick, NULL);
	ck_assert_msg(state_clear(&p->state, &fault) && state_begin(&p->state, &p->s, &fault) &&
	                  state_drop(&p->state, &p->s, &fault) &&
	                  state_commit(&p->state, &p->s, false, &fault),
	              "%s: %s: %s", fault.object, fault.action, fault.reason);
	close_volume(p);
	open_volume(p);
	ck_assert(p->state.has_held && p->state.trusted);
}

START_TEST(on_an_empty_volume_all_is_new)
{
	struct place p;
	set_up(&p);
	open_volume(&p);
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "new", "new", "new", "new", "new");
	ck_assert_uint_eq(p.plan.bytes, 100 + 10 + LAYOUT_MAX + 1000);
	ck_assert_uint_eq(p.plan.disk, 4096 + 4096 + LAYOUT_MAX + 4096);
	ck_assert_uint_ge(p.plan.dirs, 2);
	ck_assert_uint_eq(p.plan.dir[1], ACTION_NEW);
	ck_assert_uint_eq(p.plan.dir[2], ACTION_NEW);
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(without_a_state_contents_are_compared)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	open_volume(&p);
	set_time(at("v", ""));
	plan(&p, &p.s);
	/* What spans frames is compared at once. */
	PLANNED(&p, &p.s, "check", "keep", "keep", "keep", "check");
	ck_assert_uint_eq(p.plan.dirs, 0);
	plan_free(&p.plan);
	struct stat st;
	int fd = open(at("v", "large"), O_WRONLY);
	ck_assert(fd >= 0 && fstat(fd, &st) == 0 && pwrite(fd, "x", 1, st.st_size - 1) == 1);
	ck_assert(futimens(fd, (struct timespec[2]){st.st_atim, st.st_mtim}) == 0 && close(fd) == 0);
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "check", "keep", "keep", "replace", "check");
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(with_a_state_what_nobody_touched_is_kept)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "keep", "keep", "keep", "keep", "keep");
	ck_assert_uint_eq(p.plan.bytes, 0);
	ck_assert_uint_eq(p.plan.dirs, 0);
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(another_bundle_changes_what_differs_from_it)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	plan(&p, &p.t);
	ck_assert_str_eq(actions[p.plan.entry[number_of(&p.t, "sub/a")]], "keep");
	ck_assert_str_eq(actions[p.plan.entry[number_of(&p.t, "large")]], "keep");
	ck_assert_uint_ge(p.plan.entry[number_of(&p.t, "top")], ACTION_CHECK);
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(a_change_that_keeps_size_and_time_is_seen)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	make_file(at("v", "top"), 10, 'x'); /* with the time that it had */
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "keep", "keep", "keep", "keep", "check");
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(what_has_another_size_or_type_or_name_too_many_is_replaced)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	make_file(at("v", "top"), 11, 's');
	ck_assert_int_eq(unlink(at("v", "sub/l")), 0);
	ck_assert_int_eq(symlink("b", at("v", "sub/l")), 0);
	ck_assert_int_eq(unlink(at("v", "sub/b")), 0);
	make_file(at("v", "sub/b"), 100, 'a');
	ck_assert_int_eq(unlink(at("v", "large")), 0);
	ck_assert_int_eq(mkdir(at("v", "large"), 0755), 0);
	plan(&p, &p.s);
	/* sub/a has lost its second name. */
	PLANNED(&p, &p.s, "replace", "replace", "replace", "replace", "replace");
	plan_free(&p.plan);

	ck_assert_int_eq(unlink(at("v", "top")), 0);
	make_file(at("v", "top"), 10, 's');
	ck_assert_int_eq(link(at("v", "top"), at("v", "void/way")), 0);
	ck_assert_int_eq(rmdir(at("v", "large")), 0);
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "replace", "replace", "replace", "new", "replace");
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(a_directory_that_is_something_else_is_replaced_and_all_in_it_new)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	ck_assert_int_eq(rename(at("v", "sub"), at("v", "moved")), 0);
	ck_assert_int_eq(symlink("moved", at("v", "sub")), 0);
	ck_assert_int_eq(rmdir(at("v", "void")), 0);
	plan(&p, &p.s);
	ck_assert_uint_eq(p.plan.dir[1], ACTION_REPLACE);
	ck_assert_uint_eq(p.plan.dir[2], ACTION_NEW);
	for (int i = SUB_A; i <= SUB_L; i++)
		ck_assert_str_eq(actions[p.plan.entry[number_of(&p.s, paths[i])]], "new");
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(below_a_directory_that_was_changed_contents_are_compared)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	/* As if it had been moved away and come back. */
	set_time(at("v", "sub"));
	plan(&p, &p.s);
	PLANNED(&p, &p.s, "check", "keep", "keep", "keep", "keep");
	plan_free(&p.plan);
	set_time(at("v", ""));
	plan(&p, &p.s);
	ck_assert_str_eq(actions[p.plan.entry[number_of(&p.s, "top")]], "check");
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

START_TEST(a_changed_mode_of_a_directory_is_amended)
{
	struct place p;
	set_up(&p);
	make_tree("v", 's');
	fill_by_hand(&p);
	ck_assert_int_eq(chmod(at("v", "void"), 0700), 0);
	plan(&p, &p.s);
	ck_assert_uint_eq(p.plan.dir[1], ACTION_KEEP);
	ck_assert_uint_eq(p.plan.dir[2], ACTION_AMEND);
	ck_assert_uint_eq(p.plan.dirs, 1);
	plan_free(&p.plan);
	close_volume(&p);
	tear_down(&p);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    on_an_empty_volume_all_is_new,
	    without_a_state_contents_are_compared,
	    with_a_state_what_nobody_touched_is_kept,
	    another_bundle_changes_what_differs_from_it,
	    a_change_that_keeps_size_and_time_is_seen,
	    what_has_another_size_or_type_or_name_too_many_is_replaced,
	    a_directory_that_is_something_else_is_replaced_and_all_in_it_new,
	    below_a_directory_that_was_changed_contents_are_compared,
	    a_changed_mode_of_a_directory_is_amended,
	    NULL,
	};
	return unit_main("plan", tests);
}
