/* index.c - tests of init/index.h and init/validate.h: an index that is whole, and each way to break it. */
#include "index.h"

#include "bytes.h"
#include "hash.h"
#include "unit.h"
#include "validate.h"

/* An index as its columns have it, to be broken at will. What a bundle derives (counts, sums, sizes) is
 * derived when it is built, and what MORE says is added. */
struct string {
	const void *s;
	size_t len;
};
#define STRING(literal) ((struct string){literal, sizeof(literal) - 1})

enum { DIRS = 40, ENTRIES = 120, FRAMES = 24 };

struct model_dir {
	struct string name, xattrs;
	uint32_t parent, entries, mode, uid, gid, nsec;
	int64_t mtime;
};

struct model_entry {
	uint8_t type, flags;
	uint32_t mode, uid, gid, nsec, offset;
	int64_t mtime;
	uint64_t size;
	unsigned char hash[16];
	struct string name, target, xattrs;
};

struct model {
	uint32_t dir_count, entry_count, frame_count;
	struct model_dir dir[DIRS];
	struct model_entry entry[ENTRIES];
	struct {
		uint32_t packed, plain, entries, block_packed;
		int block_cut;        /* bytes less than the block has */
		uint32_t block_plain; /* when not 0: this instead */
	} frame[FRAMES];
	uint32_t flags;
	struct string strings[CATALOG_STRING_COUNT];
	struct {
		uint32_t files, symlinks, hardlinks, content;
	} more;
	int catalog_cut;
	struct { /* of the header, before its sum is made */
		unsigned at, size;
		uint64_t value;
	} patch;
};

struct buffer {
	unsigned char *bytes;
	size_t used;
};

static void add(struct buffer *b, const void *bytes, size_t size)
{
	b->bytes = realloc(b->bytes, b->used + size + 1);
	must(b->bytes);
	if (size)
		memcpy(b->bytes + b->used, bytes, size);
	b->used += size;
}

/* The low SIZE bytes of VALUE. */
static void add_number(struct buffer *b, uint64_t value, size_t size)
{
	add(b, &value, size);
}

#define COLUMN(count, size, value)                                                                           \
	for (uint32_t i = 0; i < (count); i++)                                                               \
	add_number(&b, (uint64_t)(value), size)
#define STRINGS(count, string)                                                                               \
	for (uint32_t i = 0; i < (count); i++)                                                               \
	add(&b, (string).s, (string).len)

static struct buffer build_block(const struct model *m, uint32_t first, uint32_t count)
{
	const struct model_entry *e = m->entry + first;
	struct buffer b = {NULL, 0};

	add(&b, "", 0);
	COLUMN(count, 1, e[i].type);
	COLUMN(count, 1, e[i].flags);
	COLUMN(count, 2, e[i].mode);
	COLUMN(count, 4, e[i].uid);
	COLUMN(count, 4, e[i].gid);
	COLUMN(count, 8, e[i].mtime);
	COLUMN(count, 4, e[i].nsec);
	COLUMN(count, 8, e[i].size);
	COLUMN(count, 4, e[i].offset);
	for (uint32_t i = 0; i < count; i++)
		add(&b, e[i].hash, 16);
	COLUMN(count, 1, e[i].name.len);
	COLUMN(count, 2, e[i].target.len);
	COLUMN(count, 4, e[i].xattrs.len);
	STRINGS(count, e[i].name);
	STRINGS(count, e[i].target);
	STRINGS(count, e[i].xattrs);
	return b;
}

/* What was built, in pieces of just their size, so that a read behind them is noticed. */
struct built {
	unsigned char header[HEADER_SIZE];
	unsigned char *catalog;
	unsigned char *block[FRAMES];
	uint32_t catalog_size, block_size[FRAMES];
};

static void seal(struct built *built)
{
	put64(built->header + HEADER_SUM, hash64(built->header, HEADER_SUM));
}

static unsigned char *exactly(struct buffer *from, size_t size)
{
	unsigned char *bytes = calloc(size ? size : 1, 1);
	must(bytes);
	memcpy(bytes, from->bytes, size < from->used ? size : from->used);
	free(from->bytes);
	return bytes;
}

static struct built build(const struct model *m)
{
	struct built out = {.catalog = NULL};
	struct buffer b = {NULL, 0};
	uint64_t counts[3] = {0}, content = 0, packed = 0, plain = 0, blocks = 0;
	uint32_t first = 0;

	for (uint32_t i = 0; i < m->frame_count; i++) {
		struct buffer block = build_block(m, first, m->frame[i].entries);
		out.block_size[i] = (uint32_t)(block.used - (size_t)m->frame[i].block_cut);
		out.block[i] = exactly(&block, out.block_size[i]);
		first += m->frame[i].entries;
		packed += m->frame[i].packed;
		plain += m->frame[i].plain;
		blocks += m->frame[i].block_packed;
	}
	for (uint32_t i = 0; i < m->entry_count; i++) {
		if (m->entry[i].type < 3)
			counts[m->entry[i].type]++;
		content += m->entry[i].type == ENTRY_FILE ? m->entry[i].size : 0;
	}
	add_number(&b, m->flags, 4);
	add_number(&b, counts[0] + m->more.files, 4);
	add_number(&b, counts[1] + m->more.symlinks, 4);
	add_number(&b, counts[2] + m->more.hardlinks, 4);
	add_number(&b, content + m->more.content, 8);
	add_number(&b, content, 8);
	for (int i = 0; i < CATALOG_STRING_COUNT; i++) {
		add_number(&b, m->strings[i].len, 2);
		add(&b, m->strings[i].s, m->strings[i].len);
	}
	COLUMN(m->dir_count, 4, m->dir[i].parent);
	COLUMN(m->dir_count, 4, m->dir[i].entries);
	COLUMN(m->dir_count, 2, m->dir[i].mode);
	COLUMN(m->dir_count, 4, m->dir[i].uid);
	COLUMN(m->dir_count, 4, m->dir[i].gid);
	COLUMN(m->dir_count, 8, m->dir[i].mtime);
	COLUMN(m->dir_count, 4, m->dir[i].nsec);
	COLUMN(m->dir_count, 1, m->dir[i].name.len);
	COLUMN(m->dir_count, 4, m->dir[i].xattrs.len);
	COLUMN(m->frame_count, 4, m->frame[i].packed);
	COLUMN(m->frame_count, 4, m->frame[i].plain);
	COLUMN(m->frame_count, 8, i + 1000);
	COLUMN(m->frame_count, 4, m->frame[i].entries);
	COLUMN(m->frame_count, 4, m->frame[i].block_packed);
	COLUMN(m->frame_count, 4, m->frame[i].block_plain ? m->frame[i].block_plain : out.block_size[i]);
	COLUMN(m->frame_count, 8, i + 2000);
	STRINGS(m->dir_count, m->dir[i].name);
	STRINGS(m->dir_count, m->dir[i].xattrs);
	out.catalog_size = (uint32_t)(b.used - (size_t)m->catalog_cut);
	out.catalog = exactly(&b, out.catalog_size);

	memcpy(out.header, HEADER_MAGIC, 8);
	put16(out.header + HEADER_VERSION, BUNDLE_VERSION);
	put32(out.header + HEADER_DIRS, m->dir_count);
	put32(out.header + HEADER_ENTRIES, m->entry_count);
	put32(out.header + HEADER_FRAMES, m->frame_count);
	put32(out.header + HEADER_CATALOG, out.catalog_size);
	put32(out.header + HEADER_CATALOG_PACK, 100);
	put64(out.header + HEADER_BLOCKS_PACK, blocks);
	put64(out.header + HEADER_DATA_PACK, packed);
	put64(out.header + HEADER_DATA, plain);
	memset(out.header + HEADER_ID, 0xab, 16);
	memcpy(out.header + m->patch.at, &m->patch.value, m->patch.size);
	seal(&out);
	return out;
}

static void built_free(struct built *built)
{
	free(built->catalog);
	for (uint32_t i = 0; i < FRAMES; i++)
		free(built->block[i]);
}

/* Parse and check all of it, as a reader does. NULL when all is well; CATALOG is to be freed in any case. */
static const char *load(const struct built *built, struct catalog *catalog)
{
	struct header head;
	struct block block = {.count = 0};

	memset(catalog, 0, sizeof *catalog);
	const char *wrong = header_parse(&head, built->header);
	if (!wrong)
		wrong = catalog_parse(catalog, &head, built->catalog);
	if (wrong)
		return wrong;
	struct check *check = check_new(catalog);
	must(check);
	for (uint32_t i = 0; i < head.frames && !wrong; i++) {
		struct frame frame = catalog_frame(catalog, i);
		/* A size that is not that of the bytes here could not have been unpacked. */
		if (frame.block_plain != (frame.count ? built->block_size[i] : 0))
			wrong = "a block was not unpacked";
		else
			wrong = block_parse(&block, &frame, built->block[i]);
		if (!wrong)
			wrong = check_block(check, i, &block);
	}
	if (!wrong)
		wrong = check_end(check);
	block_free(&block);
	check_free(check);
	return wrong;
}

static const char *verdict(const struct model *m)
{
	struct catalog catalog;
	struct built built = build(m);
	const char *wrong = load(&built, &catalog);
	catalog_free(&catalog);
	built_free(&built);
	return wrong ? wrong : "";
}

static struct model_dir a_dir(const char *name, uint32_t parent, uint32_t entries)
{
	return (struct model_dir){.name = {name, strlen(name)},
	                          .parent = parent,
	                          .entries = entries,
	                          .mode = 0755,
	                          .uid = 1,
	                          .gid = 2,
	                          .mtime = 3,
	                          .nsec = 4};
}

static struct model_entry a_file(const char *name, uint64_t size, uint32_t offset)
{
	return (struct model_entry){.type = ENTRY_FILE,
	                            .name = {name, strlen(name)},
	                            .mode = 0644,
	                            .uid = 5,
	                            .gid = 6,
	                            .mtime = -7,
	                            .nsec = 999999999,
	                            .size = size,
	                            .offset = offset,
	                            .hash = {0xff, 1}};
}

static struct model_entry a_symlink(const char *name, const char *target)
{
	return (struct model_entry){.type = ENTRY_SYMLINK,
	                            .name = {name, strlen(name)},
	                            .mode = 0777,
	                            .target = {target, strlen(target)}};
}

static struct model_entry a_link(const char *name, uint64_t to)
{
	return (struct model_entry){.type = ENTRY_HARDLINK, .name = {name, strlen(name)}, .size = to};
}

/* root: f0 f1 s; a: big (over three frames), x/ (empty); b/: empty; c: h (= f0), i, j; z/: empty */
enum { F0, F1, S, BIG, NONE, H, I, J };

static struct model whole(void)
{
	struct model m = {.dir_count = 6, .entry_count = 8, .frame_count = 6};

	m.strings[0] = STRING("/data");
	m.strings[1] = STRING("r1");
	m.strings[2] = STRING("test 1");
	m.dir[0] = a_dir("", 0, 3);
	m.dir[1] = a_dir("a", 0, 2);
	m.dir[2] = a_dir("x", 1, 0);
	m.dir[3] = a_dir("b", 0, 0);
	m.dir[4] = a_dir("c", 0, 3);
	m.dir[5] = a_dir("z", 0, 0);
	m.entry[F0] = a_file("f0", 100, 512);
	m.entry[F1] = a_file("f1", 50, 1536);
	m.entry[S] = a_symlink("s", "a/big");
	m.entry[BIG] = a_file("big", 5000, 512);
	m.entry[NONE] = a_file("none", 0, 0);
	m.entry[H] = a_link("h", F0);
	m.entry[I] = a_file("i", 1000, 2048);
	m.entry[J] = a_file("j", 1048, 3048);
	m.entry[I].xattrs = STRING("\x06user.a\x02\0\0\0hi\x06user.b\0\0\0\0");
	m.dir[4].xattrs = STRING("\x06user.c\x01\0\0\0!");
	for (uint32_t i = 0; i < m.frame_count; i++) {
		m.frame[i].plain = i == 1 || i == 2 || i == 3 ? 2048 : 4096;
		m.frame[i].packed = 300 + i;
	}
	static const uint32_t entries[] = {3, 1, 0, 0, 4, 0};
	for (uint32_t i = 0; i < m.frame_count; i++) {
		m.frame[i].entries = entries[i];
		m.frame[i].block_packed = entries[i] ? 70 + i : 0;
	}
	return m;
}

/* A whole index is refused, in these words, when CHANGE was made to the model M. */
#define REFUSED(words, ...)                                                                                  \
	do {                                                                                                 \
		struct model m = whole();                                                                    \
		__VA_ARGS__;                                                                                 \
		ck_assert_str_eq(verdict(&m), words);                                                        \
	} while (0)
#define ACCEPTED(...) REFUSED("", __VA_ARGS__)
#define HEADER(place, width, number)                                                                         \
	m.patch.at = (place), m.patch.size = (width), m.patch.value = (uint64_t)(number)

static bool is_text(struct text text, const char *expected)
{
	return text.len == strlen(expected) && memcmp(text.s, expected, text.len) == 0;
}

START_TEST(a_whole_index_is_read_as_it_was_written)
{
	struct model m = whole();
	struct built built = build(&m);
	struct catalog c;
	ck_assert_ptr_null(load(&built, &c));

	ck_assert_uint_eq(c.head.dirs, 6);
	ck_assert_uint_eq(c.head.entries, 8);
	ck_assert_uint_eq(c.head.id[15], 0xab);
	ck_assert_uint_eq(c.files, 6);
	ck_assert_uint_eq(c.symlinks, 1);
	ck_assert_uint_eq(c.hardlinks, 1);
	ck_assert_uint_eq(c.content, 100 + 50 + 5000 + 1000 + 1048);
	ck_assert(is_text(c.dest, "/data") && is_text(c.revision, "r1") && is_text(c.packer, "test 1"));

	struct dir dir = catalog_dir(&c, 4);
	ck_assert(is_text(dir.name, "c"));
	ck_assert(dir.parent == 0 && dir.first == 5 && dir.count == 3 && dir.mode == 0755 && dir.uid == 1);
	ck_assert(dir.gid == 2 && dir.mtime == 3 && dir.nsec == 4 && dir.xattrs.len == 12);
	ck_assert_uint_eq(catalog_dir(&c, 0).name.len, 0);

	static const uint32_t carried[] = {NO_ENTRY, NO_ENTRY, BIG, BIG, NO_ENTRY, NO_ENTRY};
	static const uint64_t carried_at[] = {0, 0, 1536, 3584, 0, 0};
	static const uint32_t first[] = {0, 3, 4, 4, 4, 8};
	uint64_t at = 0, block_at = 0;
	for (uint32_t i = 0; i < 6; i++) {
		struct frame f = catalog_frame(&c, i);
		ck_assert_uint_eq(f.carried, carried[i]);
		ck_assert_uint_eq(f.carried_at, carried_at[i]);
		ck_assert_uint_eq(f.first, first[i]);
		ck_assert_uint_eq(f.count, m.frame[i].entries);
		ck_assert_uint_eq(f.packed_at, at);
		ck_assert_uint_eq(f.block_at, block_at);
		ck_assert_uint_eq(f.sum, i + 1000);
		ck_assert_uint_eq(f.block_sum, i + 2000);
		at += f.packed;
		block_at += f.block_packed;
	}
	catalog_free(&c);
	built_free(&built);
}
END_TEST

START_TEST(an_entry_is_read_as_it_was_written)
{
	struct model m = whole();
	struct built built = build(&m);
	struct catalog c;
	struct block block = {.count = 0};
	struct xattr x;

	ck_assert_ptr_null(load(&built, &c));
	struct frame frame = catalog_frame(&c, 4);
	ck_assert_ptr_null(block_parse(&block, &frame, built.block[4]));
	ck_assert_uint_eq(block.count, 4);
	struct entry e = block_entry(&block, 2);
	ck_assert(e.type == ENTRY_FILE && e.flags == 0 && e.mode == 0644 && e.uid == 5 && e.gid == 6);
	ck_assert(e.mtime == -7 && e.nsec == 999999999 && e.size == 1000 && e.offset == 2048);
	ck_assert(e.hash[0] == 0xff && e.hash[1] == 1 && is_text(e.name, "i") && e.target.len == 0);
	ck_assert(xattr_next(&e.xattrs, &x) && is_text(x.name, "user.a") && is_text(x.value, "hi"));
	ck_assert(xattr_next(&e.xattrs, &x) && is_text(x.name, "user.b") && x.value.len == 0);
	ck_assert(!xattr_next(&e.xattrs, &x));
	ck_assert(block_entry(&block, 1).type == ENTRY_HARDLINK);

	frame = catalog_frame(&c, 0);
	ck_assert_ptr_null(block_parse(&block, &frame, built.block[0]));
	ck_assert(is_text(block_entry(&block, 2).target, "a/big"));
	block_free(&block);
	catalog_free(&c);
	built_free(&built);
}
END_TEST

START_TEST(directories_frames_paths_and_links_are_found)
{
	struct model m = whole();
	m.entry[J] = a_link("j", F0); /* two links to f0, one to f1 */
	m.entry[I] = a_link("i", F1);
	struct built built = build(&m);
	struct catalog c;
	ck_assert_ptr_null(load(&built, &c));

	static const uint32_t dir_of[] = {0, 0, 0, 1, 1, 4, 4, 4}, frame_of[] = {0, 0, 0, 1, 4, 4, 4, 4};
	static const uint32_t links[] = {2, 1, 0, 0, 0, 0, 0, 0};
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_uint_eq(catalog_dir_of(&c, i), dir_of[i]);
		ck_assert_uint_eq(catalog_frame_of(&c, i), frame_of[i]);
		ck_assert_uint_eq(catalog_links(&c, i), links[i]);
	}
	static const char *const paths[] = {".", "a", "a/x", "b", "c", "z"};
	char path[PATH_LEN_MAX + 1];
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(catalog_path(&c, i, path), strlen(paths[i]));
		ck_assert_str_eq(path, paths[i]);
	}
	catalog_free(&c);
	built_free(&built);
}
END_TEST

START_TEST(a_wrong_header_is_refused)
{
	REFUSED("not a decant bundle", HEADER(0, 1, 'D'));
	REFUSED("the bundle's format version is not known to this program", HEADER(HEADER_VERSION, 2, 0));
	REFUSED("the bundle's format version is not known to this program", HEADER(HEADER_VERSION, 2, 2));
	REFUSED("the header uses reserved bits", HEADER(HEADER_FLAGS, 2, 1));
	REFUSED("the header uses reserved bits", HEADER(HEADER_FLAGS, 2, 0x8000));
	REFUSED("the header uses reserved bits", HEADER(HEADER_RESERVED, 8, UINT64_C(1) << 63));
	REFUSED("the header's counts do not fit the catalog", HEADER(HEADER_DIRS, 4, 0));
	REFUSED("the header's counts do not fit the catalog", HEADER(HEADER_FRAMES, 4, 0));
	REFUSED("the header's counts do not fit the catalog", HEADER(HEADER_DIRS, 4, UINT32_MAX));
	REFUSED("the header's counts do not fit the catalog", HEADER(HEADER_FRAMES, 4, UINT32_MAX));
	REFUSED("the header counts too many entries", HEADER(HEADER_ENTRIES, 4, UINT32_MAX));
	REFUSED("the catalog is over the format's limit", HEADER(HEADER_CATALOG, 4, CATALOG_PLAIN_MAX + 1));
	REFUSED("the catalog is over the format's limit",
	        HEADER(HEADER_CATALOG_PACK, 4, CATALOG_PLAIN_MAX + 1));
	REFUSED("the header's sizes are over the format's limit", HEADER(HEADER_BLOCKS_PACK, 8, UINT32_MAX));
	REFUSED("the header's sizes are over the format's limit", HEADER(HEADER_DATA_PACK, 8, INT64_MAX));
	REFUSED("the catalog's counts do not add up", HEADER(HEADER_ENTRIES, 4, 9));
	static const char totals[] = "the header's totals are not those of the frames";
	REFUSED(totals, HEADER(HEADER_BLOCKS_PACK, 8, 1));
	REFUSED(totals, HEADER(HEADER_DATA_PACK, 8, 1));
	REFUSED(totals, HEADER(HEADER_DATA, 8, 1));
}
END_TEST

START_TEST(each_bit_of_the_header_counts)
{
	struct model m = whole();
	struct built built = build(&m);
	for (unsigned bit = 0; bit < HEADER_SIZE * 8; bit++) {
		struct header head;
		built.header[bit / 8] ^= (unsigned char)(1u << bit % 8);
		ck_assert_msg(header_parse(&head, built.header), "bit %u", bit);
		built.header[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	built_free(&built);
}
END_TEST

START_TEST(a_catalog_whose_parts_do_not_fit_is_refused)
{
	REFUSED("the catalog's size does not fit what it holds", m.catalog_cut = -1);
	REFUSED("the catalog's size does not fit what it holds", m.catalog_cut = 1);
	for (int cut = 1; cut < 400; cut++) {
		struct model m = whole();
		m.catalog_cut = cut;
		ck_assert_msg(*verdict(&m), "%d bytes less", cut);
	}
	REFUSED("the catalog uses reserved bits", m.flags = 2);
	REFUSED("the catalog uses reserved bits", m.flags = 0x80000001);
	ACCEPTED(m.flags = CATALOG_HAS_SETID);
	REFUSED("the catalog uses a reserved field", m.strings[3] = STRING("x"));
	REFUSED("a text of the catalog holds a NUL", m.strings[1] = STRING("a\0b"));
	REFUSED("a text of the catalog holds a NUL", m.strings[2] = STRING("\0"));
	static const char dest[] = "the recorded destination is not an absolute path without . and ..";
	REFUSED(dest, m.strings[0] = STRING("data"));
	REFUSED(dest, m.strings[0] = STRING("/a/../b"));
	REFUSED(dest, m.strings[0] = STRING("/a\0"));
	ACCEPTED(m.strings[0] = STRING(""));
	REFUSED("the catalog's counts do not add up", m.more.files = 1);
	REFUSED("the catalog's counts do not add up", m.more.files = UINT32_MAX);
}
END_TEST

START_TEST(frames_out_of_their_limits_are_refused)
{
	static const char size[] = "a frame's size is outside the format's limits";
	static const char packed[] = "a frame's packed size is outside the format's limits";
	static const char count[] = "a frame's count of entries does not fit its block";

	REFUSED(size, m.frame[5].plain = 0);
	ACCEPTED(m.frame[5].plain = FRAME_PLAIN_MAX);
	REFUSED(size, m.frame[5].plain = FRAME_PLAIN_MAX + 1);
	REFUSED(size, m.frame[0].block_plain = BLOCK_PLAIN_MAX + 1);
	REFUSED(packed, m.frame[5].packed = 0);
	ACCEPTED(m.frame[5].packed = 4096 + 32 + 1024);
	REFUSED(packed, m.frame[5].packed = 4096 + 32 + 1024 + 1);
	REFUSED(packed, m.frame[0].block_packed = 5000);
	REFUSED(count, m.frame[0].block_packed = 0);
	REFUSED(count, m.frame[5].block_packed = 1, m.frame[5].block_plain = 100);
	REFUSED(packed, m.frame[5].block_packed = 1025);
	REFUSED(count, m.frame[5].block_plain = 100);
	REFUSED(count, m.frame[0].block_plain = 3 * ENTRY_COLUMNS - 1);
	REFUSED("the frames have more entries than the header counts", m.frame[0].entries = 4);
	REFUSED("the header's totals are not those of the frames", m.frame[4].entries = 3);
}
END_TEST

START_TEST(a_block_whose_parts_do_not_fit_is_refused)
{
	REFUSED("a block's size does not fit what it holds", m.frame[0].block_cut = 1);
	REFUSED("a block's size does not fit what it holds", m.frame[0].block_cut = -1);
	/* A column's number that is larger than what follows it. */
	struct model m = whole();
	struct built built = build(&m);
	struct catalog c;
	built.block[0][3 * (ENTRY_COLUMNS - 4)] = 0xff;
	ck_assert_str_eq(load(&built, &c), "a block's size does not fit what it holds");
	catalog_free(&c);
	put32(built.block[0] + 3 * (ENTRY_COLUMNS - 4), UINT32_MAX);
	ck_assert_str_eq(load(&built, &c), "a block's names are longer than the block");
	catalog_free(&c);
	built_free(&built);
}
END_TEST

START_TEST(directories_out_of_order_are_refused)
{
	static const char preorder[] = "the directories are not in pre-order";
	static const char order[] = "sibling directories are not in the order of their names";

	REFUSED(preorder, m.dir[2].parent = 2);
	REFUSED(preorder, m.dir[2].parent = 3);
	REFUSED(preorder, m.dir[2].parent = UINT32_MAX);
	REFUSED(preorder, m.dir[5].parent = 1);
	REFUSED(preorder, m.dir[4].parent = 2);
	ACCEPTED(m.dir[5].parent = 4);
	ACCEPTED(m.dir[2].parent = 0, m.dir[2].name = STRING("aa"));
	REFUSED(order, m.dir[3].name = STRING("d"));
	REFUSED(order, m.dir[4].name = STRING("b"));
	REFUSED(order, m.dir[1].name = STRING("b"));
	REFUSED(order, m.dir[5].name = STRING("a"));
	REFUSED(order, m.dir[3].parent = 1, m.dir[3].name = STRING("x"));
	REFUSED("the root directory has a name or a parent", m.dir[0].name = STRING("r"));
	REFUSED("the root directory has a name or a parent", m.dir[0].parent = 1);
	REFUSED("the directories have more entries than the header counts", m.dir[0].entries = 9);
	REFUSED("the directories have more entries than the header counts", m.dir[5].entries = UINT32_MAX);
	REFUSED("the directories have fewer entries than the header counts", m.dir[4].entries = 2);
}
END_TEST

/* Names that no directory can hold. */
static const struct string bad_names[] = {{"", 0},  {".", 1},   {"..", 2}, {"a/b", 3},
                                          {"/", 1}, {"s\0", 2}, {"\0", 1}};

START_TEST(names_that_lead_elsewhere_are_refused)
{
	static char longest[256];
	memset(longest, 'z', 255);
	for (size_t i = 0; i < COUNT_OF(bad_names); i++) {
		REFUSED("a directory's name is not a path component", m.dir[5].name = bad_names[i]);
		REFUSED("a directory's name is not a path component", m.dir[2].name = bad_names[i]);
		REFUSED("an entry's name is not a path component", m.entry[F0].name = bad_names[i]);
		REFUSED("an entry's name is not a path component", m.entry[J].name = bad_names[i]);
	}
	ACCEPTED(m.dir[5].name = (struct string){longest, 255});
	ACCEPTED(m.entry[J].name = (struct string){longest, 255});
	ACCEPTED(m.entry[J].name = STRING("\xff\n\\"));
}
END_TEST

START_TEST(reserved_names_are_refused_at_the_root_alone)
{
	static const char reserved[] = "the root has an entry called " STATE_DIR " or " LOST_FOUND;
	REFUSED(reserved, m.entry[F0].name = STRING(".decant"));
	REFUSED(reserved, m.dir[1].name = STRING(".decant"));
	REFUSED(reserved, m.entry[S].name = STRING("lost+found"));
	REFUSED(reserved, m.dir[5].name = STRING("lost+found"));
	ACCEPTED(m.entry[H].name = STRING(".decant"));
	ACCEPTED(m.dir[2].name = STRING(".decant"));
	ACCEPTED(m.dir[2].name = STRING("lost+found"));
	ACCEPTED(m.entry[F0].name = STRING(".decant2"));
}
END_TEST

START_TEST(entries_out_of_order_or_twice_are_refused)
{
	static const char order[] = "entries of a directory are not in the order of their names";
	static const char twice[] = "a name is both a directory and something else";

	REFUSED(order, m.entry[F1].name = STRING("f0"));
	REFUSED(order, m.entry[F0].name = STRING("f2"));
	REFUSED(order, m.entry[I].name = STRING("\x01"));
	/* also where a frame ends between the two */
	REFUSED(order, m.entry[NONE].name = STRING("big"));
	REFUSED(order, m.entry[NONE].name = STRING("b"));
	ACCEPTED(m.entry[H].name = STRING("a"));
	ACCEPTED(m.entry[F1].name = STRING("f0\xff"));
	REFUSED(twice, m.entry[F0].name = STRING("a"));
	REFUSED(twice, m.entry[F0].name = STRING("c"));
	REFUSED(twice, m.entry[S].name = STRING("z"));
	REFUSED(twice, m.entry[BIG].name = STRING("x"));
	REFUSED(twice, m.entry[NONE].name = STRING("x"));
	ACCEPTED(m.entry[NONE].name = STRING("z"));
	ACCEPTED(m.entry[H].name = STRING("c"));
}
END_TEST

/* Directories nested so that the innermost one's path is LEN bytes long, at least 3839; it has the entry. */
static struct model deep(size_t len)
{
	static char name[256];
	struct model m = whole();
	memset(name, 'n', 255);
	m.dir_count = 17;
	m.entry_count = m.frame_count = m.frame[0].entries = 1;
	m.dir[0].entries = 0;
	for (uint32_t i = 1; i < 17; i++) {
		m.dir[i] = a_dir("", i - 1, i == 16);
		m.dir[i].name = (struct string){name, i < 16 ? 255 : len - 15 * 256};
	}
	m.entry[0] = a_file("e", 0, 0);
	return m;
}

START_TEST(paths_longer_than_path_max_are_refused)
{
	struct catalog c;
	char *path = malloc(PATH_LEN_MAX + 1);
	struct model m = deep(PATH_LEN_MAX - 2);
	struct built built = build(&m);

	ck_assert_ptr_null(load(&built, &c));
	ck_assert_ptr_nonnull(path);
	ck_assert_uint_eq(catalog_path(&c, 16, path), PATH_LEN_MAX - 2);
	ck_assert_uint_eq(strlen(path), PATH_LEN_MAX - 2);
	free(path);
	catalog_free(&c);
	built_free(&built);

	m.entry[0].name = STRING("ee");
	ck_assert_str_eq(verdict(&m), "a path is longer than PATH_MAX");
	m = deep(PATH_LEN_MAX);
	ck_assert_str_eq(verdict(&m), "a path is longer than PATH_MAX");
	m.dir[16].entries = 0;
	m.dir[0].entries = 1;
	ck_assert_str_eq(verdict(&m), "");
	m = deep(PATH_LEN_MAX - 2);
	m.dir_count = 18;
	m.dir[17] = a_dir("d", 16, 0);
	ck_assert_str_eq(verdict(&m), "");
	m.dir[17].name = STRING("dd");
	ck_assert_str_eq(verdict(&m), "a path is longer than PATH_MAX");
}
END_TEST

START_TEST(metadata_out_of_range_is_refused)
{
	static const char dir[] = "a directory's mode, owner or time is out of range";
	static const char entry[] = "an entry's mode, owner or time is out of range";

	REFUSED(dir, m.dir[0].mode = 010000);
	REFUSED(dir, m.dir[2].uid = UINT32_MAX);
	REFUSED(dir, m.dir[2].gid = UINT32_MAX);
	REFUSED(dir, m.dir[2].nsec = 1000000000);
	ACCEPTED(m.dir[2].nsec = 999999999, m.dir[2].uid = UINT32_MAX - 1, m.dir[2].mtime = INT64_MIN);
	REFUSED(entry, m.entry[F0].mode = 010000);
	REFUSED(entry, m.entry[F0].uid = UINT32_MAX);
	REFUSED(entry, m.entry[F0].gid = UINT32_MAX);
	REFUSED(entry, m.entry[F0].nsec = 1000000000);
	REFUSED(entry, m.entry[S].uid = UINT32_MAX);
	REFUSED(entry, m.entry[S].nsec = UINT32_MAX);
	ACCEPTED(m.entry[F0].mtime = INT64_MAX, m.entry[F0].gid = UINT32_MAX - 1);
	for (uint32_t bit = 01000; bit <= 04000; bit *= 2) {
		REFUSED("a directory has bits that the catalog does not announce", m.dir[1].mode |= bit);
		REFUSED("an entry has bits that the catalog does not announce", m.entry[F0].mode |= bit);
		ACCEPTED(m.flags = CATALOG_HAS_SETID, m.dir[1].mode |= bit, m.entry[F0].mode |= bit);
	}
}
END_TEST

START_TEST(fields_that_a_type_does_not_have_are_refused)
{
	static const char field[] = "an entry has fields that its type does not have";
	static const char own[] = "a hard link has metadata of its own";
	static const char target[] = "an entry that is no symbolic link has a target";

	REFUSED("an entry's type is not known", m.entry[F0].type = 3, m.more.files = 1);
	REFUSED("an entry's type is not known", m.entry[F0].type = 255, m.more.files = 1);
	REFUSED("an entry uses reserved bits", m.entry[F0].flags = 2);
	REFUSED("an entry uses reserved bits", m.entry[F0].flags = 0x81);
	ACCEPTED(m.entry[F0].flags = ENTRY_HOLES);
	REFUSED(field, m.entry[S].flags = ENTRY_HOLES);
	REFUSED(field, m.entry[H].flags = ENTRY_HOLES);
	REFUSED(field, m.entry[S].offset = 1);
	REFUSED(field, m.entry[H].offset = 1);
	REFUSED(field, m.entry[S].xattrs = m.entry[I].xattrs);
	REFUSED(field, m.entry[H].xattrs = m.entry[I].xattrs);
	REFUSED("an entry that is no file has a hash", m.entry[S].hash[15] = 1);
	REFUSED("an entry that is no file has a hash", m.entry[H].hash[0] = 1);
	REFUSED(target, m.entry[F0].target = STRING("t"));
	REFUSED(target, m.entry[H].target = STRING("t"));
	REFUSED(own, m.entry[H].mode = 0644);
	REFUSED(own, m.entry[H].uid = 1);
	REFUSED(own, m.entry[H].gid = 1);
	REFUSED(own, m.entry[H].mtime = 1);
	REFUSED(own, m.entry[H].nsec = 1);
	REFUSED("a symbolic link has a size or a mode of its own", m.entry[S].size = 1);
	REFUSED("a symbolic link has a size or a mode of its own", m.entry[S].mode = 0755);
}
END_TEST

START_TEST(wrong_targets_of_symbolic_links_are_refused)
{
	static const char wrong[] = "a symbolic link's target is empty, too long or holds a NUL";
	static char target[4096];
	memset(target, 't', sizeof target);
	REFUSED(wrong, m.entry[S].target = STRING(""));
	REFUSED(wrong, m.entry[S].target = STRING("a\0"));
	REFUSED(wrong, m.entry[S].target = STRING("\0a"));
	REFUSED(wrong, m.entry[S].target = (struct string){target, 4096}, m.frame[0].block_packed = 300);
	ACCEPTED(m.entry[S].target = (struct string){target, 4095});
	ACCEPTED(m.entry[S].target = STRING("/../../etc"));
}
END_TEST

START_TEST(hard_links_to_anything_but_an_earlier_file_are_refused)
{
	static const char wrong[] = "a hard link does not name an earlier file";
	REFUSED(wrong, m.entry[H].size = H);
	REFUSED(wrong, m.entry[H].size = I);
	REFUSED(wrong, m.entry[H].size = S);
	REFUSED(wrong, m.entry[H].size = 8);
	REFUSED(wrong, m.entry[H].size = UINT32_MAX);
	REFUSED(wrong, m.entry[H].size = UINT64_C(1) << 32);
	REFUSED(wrong, m.entry[H].size = UINT64_MAX);
	REFUSED(wrong, m.entry[I] = a_link("i", H));
	ACCEPTED(m.entry[H].size = NONE);
	ACCEPTED(m.entry[H].size = BIG);
	ACCEPTED(m.entry[I] = a_link("i", F0));
}
END_TEST

START_TEST(content_over_other_content_or_outside_is_refused)
{
	static const char over[] = "a file's content lies outside its frame or over another's";
	static const char outside[] = "a file's content lies outside its frame";

	REFUSED(over, m.entry[F1].offset = 611);
	ACCEPTED(m.entry[F1].offset = 612);
	REFUSED(over, m.entry[F1].offset = 4097);
	REFUSED(over, m.entry[F1].offset = UINT32_MAX);
	REFUSED(over, m.entry[J].offset = 3047);
	ACCEPTED(m.entry[F1].offset = 4096 - 50);
	REFUSED(outside, m.entry[F1].offset = 4096 - 49);
	REFUSED(outside, m.entry[F0].size = 4096 - 512 + 1);
	REFUSED("an empty file has an offset", m.entry[NONE].offset = 1);
	REFUSED("the sizes of the files overflow", m.entry[F0].size = UINT64_MAX);
	REFUSED("the sizes of the files overflow", m.entry[BIG].size = INT64_MAX);
}
END_TEST

START_TEST(content_that_goes_on_where_it_must_not_is_refused)
{
	static const char other[] = "a file's content runs into a frame with other entries";
	static const char past[] = "a file's content goes past the last frame";

	/* Frames 2 and 3 hold the rest of it, to the last byte. */
	ACCEPTED(m.entry[BIG].size = 1536 + 2048 + 2048);
	REFUSED(other, m.entry[BIG].size = 1536 + 2048 + 2048 + 1);
	ACCEPTED(m.entry[J].size = 1048 + 4096);
	REFUSED(past, m.entry[J].size = 1048 + 4096 + 1);
	ACCEPTED(m.entry[BIG].size = 1);
	REFUSED("a file's content lies outside its frame", m.entry[I].size = 2049, m.entry[J].size = 0,
	        m.entry[J].offset = 0);
}
END_TEST

START_TEST(totals_that_are_not_those_of_the_entries_are_refused)
{
	static const char totals[] = "the catalog's totals are not those of its entries";
	REFUSED(totals, m.more.files = 1, m.more.symlinks = UINT32_MAX);
	REFUSED(totals, m.more.files = UINT32_MAX, m.more.hardlinks = 1);
	REFUSED(totals, m.more.content = 1);
	REFUSED("there are more hard links than the catalog counts", m.more.files = 1,
	        m.more.hardlinks = UINT32_MAX);
}
END_TEST

/* A set of one attribute "user.N…", SIZE bytes in all. */
static struct string set_of(size_t size)
{
	static unsigned char set[XATTR_SET_MAX + 1];
	memset(set, 'v', sizeof set);
	memcpy(set, "\x06user.n", 7);
	put32(set + 7, (uint32_t)(size - 11));
	return (struct string){set, size};
}

/* A set of COUNT attributes without values. */
static struct string names_of(unsigned count)
{
	enum { EACH = 14 };
	static char set[EACH * (XATTRS_MAX + 1) + 1];
	for (unsigned i = 0; i < count; i++) {
		snprintf(set + EACH * i, EACH + 1, "%cuser.%04u", 9, i % 10000);
		memset(set + EACH * i + 10, 0, 4);
	}
	return (struct string){set, EACH * count};
}

START_TEST(wrong_sets_of_xattrs_are_refused)
{
	static const char cut[] = "a set of xattrs is cut";
	static const char order[] = "the xattrs of an entry are not in the order of their names";
	static const char space[] = "an xattr is neither of the user namespace nor security.capability";
	static const struct {
		struct string set;
		const char *words;
	} rows[] = {
	    {{"\x06user.a\x02\0\0\0hi", 13}, ""},
	    {{"\x06user.a\x02\0\0\0h", 12}, cut},
	    {{"\x06user.a\x02\0\0", 10}, cut},
	    {{"\x06user.", 6}, cut},
	    {{"\x06", 1}, cut},
	    {{"\x06user.a\0\0\0\0\x06", 12}, cut},
	    {{"\x06user.a\xff\xff\xff\xffhi", 13}, cut},
	    {{"\x06user.b\0\0\0\0\x06user.a\0\0\0\0", 22}, order},
	    {{"\x06user.a\0\0\0\0\x06user.a\0\0\0\0", 22}, order},
	    {{"\x07user.aa\0\0\0\0\x06user.a\0\0\0\0", 23}, order},
	    {{"\x09trusted.a\0\0\0\0", 14}, space},
	    {{"\x05user.\0\0\0\0", 10}, space},
	    {{"\x06USER.a\0\0\0\0", 11}, space},
	    {{"\0\0\0\0\0", 5}, space},
	    {{"\x17system.posix_acl_access\0\0\0\0", 28}, space},
	    {{"\x10security.selinux\0\0\0\0", 21}, space},
	    {{"\x14security.capabilityx\0\0\0\0", 25}, space},
	    {{"\x13security.capability\0\0\0\0", 24},
	     "an xattr gives capabilities that the catalog does not announce"},
	    {{"\x08user.a\0b\0\0\0\0", 13}, "an xattr's name holds a NUL"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		REFUSED(rows[i].words, m.entry[F0].xattrs = rows[i].set);
		REFUSED(rows[i].words, m.dir[0].xattrs = rows[i].set);
		REFUSED(rows[i].words, m.dir[5].xattrs = rows[i].set);
	}
	for (size_t n = 0; n <= 30; n++) {
		char set[64] = "\x13security.capability";
		struct string capability = {set, 24 + n};
		set[20] = (char)n;
		if (n == 20 || n == 24)
			ACCEPTED(m.entry[F0].xattrs = capability, m.flags = CATALOG_HAS_SETID);
		else
			REFUSED("an xattr's value is not what gives capabilities",
			        m.entry[F0].xattrs = capability, m.flags = CATALOG_HAS_SETID);
	}
	ACCEPTED(m.entry[F0].xattrs = names_of(XATTRS_MAX));
	REFUSED("a set of xattrs is over the format's limit", m.entry[F0].xattrs = names_of(XATTRS_MAX + 1));
	REFUSED("a set of xattrs is over the format's limit", m.dir[1].xattrs = names_of(XATTRS_MAX + 1));
	ACCEPTED(m.entry[F0].xattrs = set_of(XATTR_SET_MAX));
	ACCEPTED(m.dir[1].xattrs = set_of(XATTR_SET_MAX));
	REFUSED("a set of xattrs is over the format's limit", m.entry[F0].xattrs = set_of(XATTR_SET_MAX + 1));
	REFUSED("a set of xattrs is over the format's limit", m.dir[1].xattrs = set_of(XATTR_SET_MAX + 1));
}
END_TEST

/* Over all frames each directory begins once, in order, and each entry comes once, in its own directory. */
static void check_spans(const struct catalog *c)
{
	uint32_t dir = 0, entry = 0;

	for (uint32_t f = 0; f < c->head.frames; f++) {
		struct frame frame = catalog_frame(c, f);
		struct spans spans = spans_of(c, f);
		struct span span;
		bool first = true;
		for (; span_next(&spans, &span); first = false) {
			struct dir d = catalog_dir(c, span.dir);
			if (span.begins) {
				must(span.dir == dir++);
			} else {
				must(first && dir > 0);
				must(span.dir == dir - 1);
				must(span.from < span.to);
			}
			must(span.from == entry);
			must(span.from <= span.to);
			must(span.from >= d.first);
			must(span.to <= d.first + d.count);
			for (; entry < span.to; entry++) {
				must(catalog_dir_of(c, entry) == span.dir);
				must(catalog_frame_of(c, entry) == f);
			}
		}
		must(entry == frame.first + frame.count);
	}
	must(dir == c->head.dirs);
	must(entry == c->head.entries);
}

static void number(char *name, char kind, uint32_t i)
{
	snprintf(name, 8, "%c%03u", kind, (unsigned)(i % 1000));
}

START_TEST(over_all_frames_each_directory_begins_once)
{
	static char dir_names[DIRS][8], entry_names[ENTRIES][8];
	uint32_t seed = 3;

	for (uint32_t round = 0; round < 1000; round++) {
		struct model m = {.dir_count = 1 + unit_random(&seed) % (DIRS - 1)};
		m.frame_count = 1 + unit_random(&seed) % (FRAMES - 1);
		m.dir[0] = a_dir("", 0, 0);
		for (uint32_t i = 0; i < m.dir_count; i++) {
			number(dir_names[i], 'd', i);
			if (i > 0) /* below the one before, or beside it, or beside its parent */
				m.dir[i] = a_dir(
				    dir_names[i],
				    (uint32_t[]){i - 1, m.dir[i - 1].parent,
				                 m.dir[m.dir[i - 1].parent].parent}[unit_random(&seed) % 3],
				    0);
			if (unit_random(&seed) % 2)
				m.dir[i].entries = unit_random(&seed) % 4;
			m.entry_count += m.dir[i].entries;
		}
		for (uint32_t i = 0; i < m.entry_count; i++) {
			number(entry_names[i], 'e', i);
			m.entry[i] = a_file(entry_names[i], 0, 0);
		}
		uint32_t left = m.entry_count;
		for (uint32_t i = 0; i < m.frame_count; i++) {
			uint32_t take = unit_random(&seed) % 3 ? unit_random(&seed) % 8 : 0;
			take = i + 1 == m.frame_count || take > left ? left : take;
			m.frame[i].plain = m.frame[i].packed = 512;
			m.frame[i].entries = take;
			m.frame[i].block_packed = take ? 20 : 0;
			left -= take;
		}
		struct built built = build(&m);
		struct catalog c;
		const char *wrong = load(&built, &c);
		ck_assert_msg(!wrong, "round %u: %s", (unsigned)round, wrong);
		check_spans(&c);
		catalog_free(&c);
		built_free(&built);
	}
}
END_TEST

/* What any reader does with an index that was accepted. */
static void use(const struct catalog *c)
{
	char path[PATH_LEN_MAX + 1];
	check_spans(c);
	for (uint32_t i = 0; i < c->head.dirs; i++) {
		struct text set = catalog_dir(c, i).xattrs;
		struct xattr x;
		must(catalog_path(c, i, path) == strlen(path));
		while (xattr_next(&set, &x))
			must(x.name.len > 5);
		must(set.len == 0);
	}
	for (uint32_t i = 0; i < c->head.entries; i++)
		must(catalog_links(c, i) <= c->hardlinks);
}

START_TEST(no_bit_of_an_index_leads_out_of_it)
{
	struct model m = whole();
	struct built built = build(&m);
	struct catalog c;
	unsigned refused = 0, accepted = 0;

	for (uint32_t piece = 0; piece <= m.frame_count; piece++) {
		unsigned char *bytes = piece ? built.block[piece - 1] : built.catalog;
		uint32_t size = piece ? built.block_size[piece - 1] : built.catalog_size;
		for (uint32_t bit = 0; bit < size * 8; bit++) {
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			if (load(&built, &c)) {
				refused++;
			} else {
				accepted++;
				use(&c);
			}
			catalog_free(&c);
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
	}
	ck_assert_uint_gt(refused, 500);
	ck_assert_uint_gt(accepted, 500);
	ck_assert_ptr_null(load(&built, &c));
	use(&c);
	catalog_free(&c);
	built_free(&built);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_whole_index_is_read_as_it_was_written,
	    an_entry_is_read_as_it_was_written,
	    directories_frames_paths_and_links_are_found,
	    a_wrong_header_is_refused,
	    each_bit_of_the_header_counts,
	    a_catalog_whose_parts_do_not_fit_is_refused,
	    frames_out_of_their_limits_are_refused,
	    a_block_whose_parts_do_not_fit_is_refused,
	    directories_out_of_order_are_refused,
	    names_that_lead_elsewhere_are_refused,
	    reserved_names_are_refused_at_the_root_alone,
	    entries_out_of_order_or_twice_are_refused,
	    paths_longer_than_path_max_are_refused,
	    metadata_out_of_range_is_refused,
	    fields_that_a_type_does_not_have_are_refused,
	    wrong_targets_of_symbolic_links_are_refused,
	    hard_links_to_anything_but_an_earlier_file_are_refused,
	    content_over_other_content_or_outside_is_refused,
	    content_that_goes_on_where_it_must_not_is_refused,
	    totals_that_are_not_those_of_the_entries_are_refused,
	    wrong_sets_of_xattrs_are_refused,
	    over_all_frames_each_directory_begins_once,
	    no_bit_of_an_index_leads_out_of_it,
	    NULL,
	};
	return unit_main("index", tests);
}
