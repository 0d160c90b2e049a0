/* layout.c - tests of init/layout.h. */
#include "layout.h"

#include "tar.h"
#include "unit.h"

/* A tree of DIRS directories below the root, each with FILES files of up to SIZE bytes. */
struct shape {
	uint32_t dirs, files;
	uint64_t size;
};

static void set_node(struct node *node, const char *prefix, uint32_t number, uint32_t parent)
{
	char name[32];
	snprintf(name, sizeof name, "%s%05u", prefix, (unsigned)number);
	*node = (struct node){.name = strdup(name), .parent = parent, .mode = 0644, .mtime = 1700000000};
	must(node->name);
}

static struct tree make_tree(struct shape shape)
{
	struct tree t = {.root = -1, .path = "tree"};
	uint32_t seed = 1;

	t.dir_count = shape.dirs + 1;
	t.entry_count = shape.dirs * shape.files;
	t.dirs = calloc(t.dir_count, sizeof *t.dirs);
	t.entries = calloc(t.entry_count + 1, sizeof *t.entries);
	must(t.dirs && t.entries);
	t.dirs[0].node = (struct node){.name = strdup(""), .mode = 0755};
	for (uint32_t d = 1; d <= shape.dirs; d++) {
		set_node(&t.dirs[d].node, "dir", d, 0);
		t.dirs[d].first = (d - 1) * shape.files;
		t.dirs[d].count = shape.files;
		for (uint32_t i = 0; i < shape.files; i++) {
			struct tree_entry *e = &t.entries[t.dirs[d].first + i];
			set_node(&e->node, "file", i, d);
			e->type = ENTRY_FILE;
			e->size = shape.size ? unit_random(&seed) % shape.size : 0;
		}
	}
	return t;
}

/* A directory below the root, with files of these sizes. */
static struct tree make_files(const uint64_t *sizes, uint32_t count)
{
	struct tree t = make_tree((struct shape){1, count, 0});
	for (uint32_t i = 0; i < count; i++)
		t.entries[i].size = sizes[i];
	return t;
}

static struct layout lay_out(struct tree *t)
{
	struct layout l;
	struct fault fault = {.code = EXIT_DONE};
	ck_assert(layout_make(&l, t, &fault));
	ck_assert_int_eq(fault.code, EXIT_DONE);
	return l;
}

/* Follow the stream item by item, as the header promises it, and compare each frame with it. */
struct walk {
	const struct tree *tree;
	uint32_t dir, entry;
	bool dir_header;
};

static void next_item(struct walk *w)
{
	const struct tree *t = w->tree;
	w->entry += !w->dir_header;
	w->dir_header = false;
	while (w->dir < t->dir_count && w->entry == t->dirs[w->dir].first + t->dirs[w->dir].count) {
		w->dir++;
		w->dir_header = true;
		if (w->dir < t->dir_count)
			break;
		return;
	}
}

static void check_layout(const struct layout *l, const struct tree *t)
{
	struct walk w = {t, 0, 0, true};
	uint64_t total = 0, left = 0, inside = 0;
	uint32_t carried = NO_NODE;

	must(l->count >= 1);
	for (uint32_t i = 0; i < l->count; i++) {
		const struct piece *f = &l->frames[i];
		uint64_t at = 0;
		uint32_t entries = 0;
		total += f->plain;
		if (left) {
			must(f->items == 0);
			must(f->entries == 0);
			must(f->entry == carried);
			must(f->at == inside);
			at = tar_padded(left) < LAYOUT_MAX ? tar_padded(left) : LAYOUT_MAX;
			inside += at;
			left -= left < at ? left : at;
		} else {
			must(f->items > 0);
			must(f->dir == w.dir);
			must(f->dir_header == w.dir_header);
			must(f->dir_header || f->entry == w.entry);
		}
		for (uint32_t item = 0; item < f->items; item++) {
			must(w.dir < t->dir_count);
			size_t header = layout_header(t, w.dir_header, w.dir, w.entry, NULL);
			const struct tree_entry *e = &t->entries[w.entry];
			must(left == 0);
			at += header;
			entries += !w.dir_header;
			if (!w.dir_header && e->type == ENTRY_FILE && e->size) {
				must(e->offset == at);
				uint64_t room = LAYOUT_MAX - at;
				if (tar_padded(e->size) > room) {
					must(f->items == 1);
					carried = w.entry;
					left = e->size - room;
					inside = room;
					at = LAYOUT_MAX;
				} else {
					at += tar_padded(e->size);
				}
			}
			next_item(&w);
		}
		must(f->entries == entries);
		must(at <= LAYOUT_MAX);
		must(f->plain == (at + (i + 1 == l->count ? TAR_END : 0)));
		must(f->plain <= FRAME_PLAIN_MAX);
	}
	must(left == 0);
	must(w.dir == t->dir_count);
	must(l->plain == total);
}

START_TEST(frames_hold_the_whole_stream_and_nothing_else)
{
	static const struct shape shapes[] = {
	    {0, 0, 0},        {1, 1, 1},         {3, 0, 0},         {5, 7, 1000},  {1, 2000, 20000},
	    {200, 20, 30000}, {20, 20, 3 << 20}, {4, 10, 12 << 20}, {30000, 0, 0}, {1, 20000, 1}};
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct tree t = make_tree(shapes[i]);
		struct layout l = lay_out(&t);
		check_layout(&l, &t);
		layout_free(&l);
		tree_free(&t);
	}
}
END_TEST

START_TEST(an_empty_tree_is_one_frame_with_the_roots_header)
{
	struct tree t = make_tree((struct shape){0, 0, 0});
	struct layout l = lay_out(&t);
	ck_assert_uint_eq(l.count, 1);
	ck_assert_uint_eq(l.plain, TAR_BLOCK + TAR_END);
	ck_assert_uint_eq(l.frames[0].items, 1);
	ck_assert_uint_eq(l.frames[0].entries, 0);
	ck_assert(l.frames[0].dir_header);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

START_TEST(the_same_tree_has_the_same_layout)
{
	struct shape shape = {100, 30, 100000};
	struct tree a = make_tree(shape), b = make_tree(shape);
	struct layout l = lay_out(&a), m = lay_out(&b), again = lay_out(&a);

	ck_assert_uint_gt(l.count, 20);
	ck_assert_uint_eq(l.count, m.count);
	ck_assert_uint_eq(l.count, again.count);
	for (uint32_t i = 0; i < l.count; i++) {
		const struct piece *x = &l.frames[i], *y = &m.frames[i];
		ck_assert(x->dir == y->dir && x->entry == y->entry && x->dir_header == y->dir_header);
		ck_assert(x->items == y->items && x->entries == y->entries && x->plain == y->plain &&
		          x->at == y->at);
		ck_assert_uint_eq(again.frames[i].plain, x->plain);
	}
	for (uint32_t i = 0; i < a.entry_count; i++)
		ck_assert_uint_eq(a.entries[i].offset, b.entries[i].offset);
	layout_free(&l);
	layout_free(&m);
	layout_free(&again);
	tree_free(&a);
	tree_free(&b);
}
END_TEST

/* Is there a frame in L that holds just what F holds? */
static bool has_frame(const struct layout *l, const struct piece *f)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct piece *x = &l->frames[i];
		if (x->dir == f->dir && x->entry == f->entry && x->dir_header == f->dir_header &&
		    x->items == f->items && x->plain == f->plain && x->at == f->at)
			return true;
	}
	return false;
}

START_TEST(a_file_that_grows_or_shrinks_leaves_far_frames_alone)
{
	struct shape shape = {200, 20, 60000};
	struct tree before = make_tree(shape);
	struct layout l = lay_out(&before);
	ck_assert_uint_gt(l.count, 30);

	/* Each one changes one file by much or by little, also to a size that needs frames of its own. */
	static const uint64_t sizes[] = {0, 1, 70000, 1000000, LAYOUT_MAX + 100000};
	uint32_t seed = 5;
	for (size_t i = 0; i < 4 * COUNT_OF(sizes); i++) {
		struct tree after = make_tree(shape);
		uint32_t changed = 0, file = unit_random(&seed) % after.entry_count;
		after.entries[file].size = sizes[i % COUNT_OF(sizes)];
		struct layout m = lay_out(&after);
		check_layout(&m, &after);
		for (uint32_t k = 0; k < m.count; k++)
			changed += !has_frame(&l, &m.frames[k]);
		ck_assert_msg(changed <= 8, "file %u to %llu: %u of %u frames changed", (unsigned)file,
		              (unsigned long long)after.entries[file].size, (unsigned)changed,
		              (unsigned)m.count);
		layout_free(&m);
		tree_free(&after);
	}
	layout_free(&l);
	tree_free(&before);
}
END_TEST

START_TEST(frames_are_neither_small_nor_large)
{
	struct tree t = make_tree((struct shape){200, 20, 60000});
	struct layout l = lay_out(&t);
	unsigned full = 0;
	for (uint32_t i = 0; i + 1 < l.count; i++) {
		ck_assert_uint_ge(l.frames[i].plain, LAYOUT_MIN);
		ck_assert_uint_le(l.frames[i].plain, LAYOUT_MAX);
		full += l.frames[i].plain > LAYOUT_MAX - 60000 - 512;
	}
	/* Most end because of a name. */
	ck_assert_msg(full * 3 < l.count, "%u of %u are full", full, (unsigned)l.count);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

START_TEST(a_file_of_a_whole_frame_needs_no_second_one)
{
	const uint64_t sizes[] = {100, LAYOUT_MAX - TAR_BLOCK, 100};
	struct tree t = make_files(sizes, 3);
	struct layout l = lay_out(&t);
	check_layout(&l, &t);
	ck_assert_uint_eq(l.count, 3);
	ck_assert_uint_eq(l.frames[1].plain, LAYOUT_MAX);
	ck_assert_uint_eq(l.frames[1].items, 1);
	ck_assert_uint_eq(l.frames[2].items, 1);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

START_TEST(a_larger_file_goes_on_in_frames_of_its_own)
{
	const uint64_t sizes[] = {100, LAYOUT_MAX - TAR_BLOCK + 1, 100};
	struct tree t = make_files(sizes, 3);
	struct layout l = lay_out(&t);
	check_layout(&l, &t);
	ck_assert_uint_eq(l.count, 4);
	ck_assert_uint_eq(l.frames[0].items, 3); /* two directories and the first file */
	ck_assert_uint_eq(l.frames[1].items, 1);
	ck_assert_uint_eq(l.frames[1].entry, 1);
	ck_assert_uint_eq(l.frames[1].plain, LAYOUT_MAX);
	ck_assert_uint_eq(l.frames[2].items, 0);
	ck_assert_uint_eq(l.frames[2].entry, 1);
	ck_assert_uint_eq(l.frames[2].at, LAYOUT_MAX - TAR_BLOCK);
	ck_assert_uint_eq(l.frames[2].plain, TAR_BLOCK);
	ck_assert_uint_eq(l.frames[3].entry, 2);
	ck_assert_uint_eq(t.entries[1].offset, TAR_BLOCK);
	ck_assert_uint_eq(t.entries[2].offset, TAR_BLOCK);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

START_TEST(a_large_last_file_takes_the_end_of_the_stream)
{
	const uint64_t sizes[] = {(uint64_t)10 * LAYOUT_MAX - TAR_BLOCK};
	struct tree t = make_files(sizes, 1);
	struct layout l = lay_out(&t);
	check_layout(&l, &t);
	ck_assert_uint_eq(l.count, 11);
	for (uint32_t i = 1; i < 10; i++)
		ck_assert_uint_eq(l.frames[i].plain, LAYOUT_MAX);
	ck_assert_uint_eq(l.frames[10].plain, LAYOUT_MAX + TAR_END);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

START_TEST(headers_say_what_the_tree_says)
{
	const uint64_t sizes[] = {1000, 0, 0};
	struct tree t = make_files(sizes, 3);
	unsigned char block[TAR_BLOCK];

	t.entries[0].node.mode = 0751;
	t.entries[1].type = ENTRY_SYMLINK;
	t.entries[1].target = strdup("../else");
	t.entries[2].type = ENTRY_HARDLINK;
	t.entries[2].size = 0; /* the number of the file */

	ck_assert_uint_eq(layout_header(&t, true, 0, 0, block), TAR_BLOCK);
	ck_assert_str_eq((char *)block, "./");
	ck_assert_uint_eq(block[156], '5');
	ck_assert_uint_eq(layout_header(&t, true, 1, 0, block), TAR_BLOCK);
	ck_assert_str_eq((char *)block, "dir00001/");
	ck_assert_uint_eq(layout_header(&t, false, 1, 0, block), TAR_BLOCK);
	ck_assert_str_eq((char *)block, "dir00001/file00000");
	ck_assert_str_eq((char *)block + 100, "0000751");
	ck_assert_str_eq((char *)block + 124, "00000001750");
	ck_assert_uint_eq(layout_header(&t, false, 1, 1, block), TAR_BLOCK);
	ck_assert_uint_eq(block[156], '2');
	ck_assert_str_eq((char *)block + 157, "../else");
	ck_assert_uint_eq(layout_header(&t, false, 1, 2, block), TAR_BLOCK);
	ck_assert_uint_eq(block[156], '1');
	ck_assert_str_eq((char *)block + 157, "dir00001/file00000");
	ck_assert_str_eq((char *)block + 100, "0000751");
	ck_assert_str_eq((char *)block + 124, "00000000000");

	struct layout l = lay_out(&t);
	check_layout(&l, &t);
	ck_assert_uint_eq(l.plain, 5 * TAR_BLOCK + 1024 + TAR_END);
	layout_free(&l);
	tree_free(&t);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    frames_hold_the_whole_stream_and_nothing_else,
	    an_empty_tree_is_one_frame_with_the_roots_header,
	    the_same_tree_has_the_same_layout,
	    a_file_that_grows_or_shrinks_leaves_far_frames_alone,
	    frames_are_neither_small_nor_large,
	    a_file_of_a_whole_frame_needs_no_second_one,
	    a_larger_file_goes_on_in_frames_of_its_own,
	    a_large_last_file_takes_the_end_of_the_stream,
	    headers_say_what_the_tree_says,
	    NULL,
	};
	return unit_main("layout", tests);
}
