#include "encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "catalog_write.h"
#include "hash.h"
#include "io.h"
#include "pool.h"
#include "tar.h"
#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_getCParams */
#include <zstd.h>

enum { DISK_STEP = 4096, PIECE = 1 << 20 };
_Static_assert(PIECE <= LAYOUT_MAX / 2, "put_content reads pieces into a buffer for a frame");

/* What a frame has of a file that spans frames. */
struct part {
	const unsigned char *bytes;
	size_t size; /* 0: nothing */
	uint64_t at; /* in the file's content */
	uint32_t entry;
};

struct worker {
	ZSTD_CCtx *packer;
	struct part part;              /* in PLAIN */
	unsigned char *plain, *packed; /* LAYOUT_MAX + TAR_END bytes, and what zstd may make of them */
	struct buffer block, block_packed;
};

struct encoder {
	struct tree *tree;
	const struct layout *layout;
	const struct encode_options *options;
	struct encoded *out;
	struct pool *pool;
	struct frame_row *rows;  /* one per frame */
	struct buffer blocks;    /* all packed blocks, in order */
	struct hash_stream *sum; /* of the parts so far of the file that spans frames */
	struct worker workers[WORKERS_MAX];
};

static bool no_memory(const struct encoder *x, struct fault *fault)
{
	return fault_set(fault, EXIT_INTERNAL, x->tree->path, "pack", "out of memory");
}

static void entry_path(const struct encoder *x, uint32_t entry, char out[PATH_LEN_MAX + 1])
{
	const struct node *node = &x->tree->entries[entry].node;
	tree_path(x->tree, node->parent, node->name, out);
}

static bool changed(const struct encoder *x, uint32_t entry, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];
	entry_path(x, entry, path);
	return tree_changed(x->tree, path, fault);
}

enum { READING = O_RDONLY | O_NONBLOCK | O_NOCTTY };

static int open_entry(const struct encoder *x, uint32_t entry, int flags, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	entry_path(x, entry, path);
	int fd = tree_open(x->tree, path, flags);
	if (fd < 0)
		tree_lost(x->tree, path, "open", fault);
	return fd;
}

/* Is FD still the file that was scanned? Keeps errno. */
static bool is_same(const struct encoder *x, uint32_t entry, int fd)
{
	const struct tree_entry *e = &x->tree->entries[entry];
	int error = errno;
	struct stat st;
	bool same = fstat(fd, &st) == 0 && st.st_dev == e->dev && st.st_ino == e->ino &&
	            (uint64_t)st.st_size == e->size && same_instant(st.st_mtim, e->modified) &&
	            same_instant(st.st_ctim, e->changed);
	errno = error;
	return same;
}

/* After reading. Closes FD. */
static bool close_entry(const struct encoder *x, uint32_t entry, int fd, struct fault *fault)
{
	bool same = is_same(x, entry, fd);
	close(fd);
	return same || changed(x, entry, fault);
}

/* Read SIZE bytes of ENTRY's content from offset AT. */
static bool read_content(const struct encoder *x, uint32_t entry, int fd, void *to, size_t size, uint64_t at,
                         struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];
	ssize_t n = read_full(fd, to, size, (int64_t)at);

	if (n >= 0 && (size_t)n == size)
		return true;
	entry_path(x, entry, path);
	/* What is no file any more reads as an error. */
	return n < 0 && is_same(x, entry, fd) ? tree_failed(x->tree, path, "read", fault)
	                                      : tree_changed(x->tree, path, fault);
}

static uint64_t on_disk(uint64_t size)
{
	return (size + DISK_STEP - 1) / DISK_STEP * DISK_STEP;
}

/* What of a file may be left out. */
struct zeros {
	uint64_t windows; /* bytes in whole windows of zeros */
	uint64_t parts;   /* and in others, on disk; at most */
};

/* Add what of DATA, which stands at a multiple of HOLE_WINDOW, is in windows of zeros. */
static void count_zeros(struct zeros *zeros, const unsigned char *data, size_t size)
{
	for (size_t at = 0; at < size; at += HOLE_WINDOW) {
		size_t n = size - at < HOLE_WINDOW ? size - at : HOLE_WINDOW;
		if (data[at] == 0 && memcmp(data + at, data + at + 1, n - 1) == 0)
			*(n == HOLE_WINDOW ? &zeros->windows : &zeros->parts) += on_disk(n);
	}
}

static void set_disk(struct tree_entry *e, const struct zeros *zeros)
{
	uint64_t disk = on_disk(e->size), out = zeros->windows ? zeros->windows + zeros->parts : 0;

	e->disk = disk - (out < disk ? out : disk);
	e->flags = zeros->windows ? ENTRY_HOLES : 0;
}

/* Hash and windows of a file whose content is in memory. */
static void describe(struct tree_entry *e, const unsigned char *data)
{
	struct zeros zeros = {0};

	hash128(data, (size_t)e->size, e->hash);
	count_zeros(&zeros, data, (size_t)e->size);
	set_disk(e, &zeros);
}

/* The same for a file that spans frames, read for this alone; the frames read their own pieces. */
static bool describe_large(const struct encoder *x, uint32_t entry, int fd, unsigned char *piece,
                           struct fault *fault)
{
	struct tree_entry *e = &x->tree->entries[entry];
	struct hash_stream stream;
	/* A window in two frames is left out in part when a part of it is zero. */
	struct zeros zeros = {.parts = (1 + e->size / LAYOUT_MAX) * HOLE_WINDOW};

	hash_begin(&stream);
	for (uint64_t at = 0; at < e->size; at += PIECE) {
		size_t n = e->size - at < PIECE ? (size_t)(e->size - at) : PIECE;
		if (!read_content(x, entry, fd, piece, n, at, fault))
			return false;
		hash_add(&stream, piece, n);
		count_zeros(&zeros, piece, n);
	}
	hash_end(&stream, e->hash);
	set_disk(e, &zeros);
	return true;
}

/* The content of file ENTRY, or as much as there is ROOM for, to OUT, padded to whole blocks. */
static bool put_content(const struct encoder *x, struct worker *w, uint32_t entry, unsigned char *out,
                        uint64_t room, struct fault *fault)
{
	struct tree_entry *e = &x->tree->entries[entry];
	bool whole = e->size <= room;
	size_t here = (size_t)(whole ? e->size : room);

	int fd = open_entry(x, entry, e->size ? READING : O_PATH, fault);
	if (fd < 0)
		return false;
	if (e->size == 0) {
		describe(e, out);
		return close_entry(x, entry, fd, fault);
	}
	/* The buffer holds the pieces of a large file before it holds the beginning. */
	bool done = (whole || describe_large(x, entry, fd, out, fault)) &&
	            read_content(x, entry, fd, out, here, 0, fault);
	if (!whole)
		w->part = (struct part){out, here, 0, entry};
	if (done && whole) {
		describe(e, out);
		memset(out + here, 0, (size_t)(tar_padded(here) - here));
	}
	return close_entry(x, entry, fd, fault) && done;
}

/* The plain bytes of a frame in which items begin. */
static bool build_items(const struct encoder *x, struct worker *w, const struct piece *p, struct fault *fault)
{
	const struct tree *t = x->tree;
	unsigned char *out = w->plain;
	uint32_t dir = p->dir, entry = p->entry;
	bool header = p->dir_header;
	uint64_t at = 0;

	for (uint32_t i = 0; i < p->items; i++) {
		at += layout_header(t, header, dir, entry, out + at);
		if (!header && t->entries[entry].type == ENTRY_FILE) {
			if (!put_content(x, w, entry, out + at, p->plain - at, fault))
				return false;
			at += tar_padded(t->entries[entry].size);
		}
		if (!header)
			entry++;
		header = entry == t->dirs[dir].first + t->dirs[dir].count;
		dir += header;
	}
	if (at < p->plain) /* the end of the stream */
		memset(out + at, 0, (size_t)(p->plain - at));
	return true;
}

/* The plain bytes of a frame that goes on with a large file. */
static bool build_rest(const struct encoder *x, struct worker *w, const struct piece *p, struct fault *fault)
{
	unsigned char *out = w->plain;
	uint64_t rest = x->tree->entries[p->entry].size - p->at;
	size_t here = rest < p->plain ? (size_t)rest : p->plain;
	int fd = open_entry(x, p->entry, READING, fault);

	if (fd < 0)
		return false;
	bool done = read_content(x, p->entry, fd, out, here, p->at, fault);
	memset(out + here, 0, p->plain - here);
	w->part = (struct part){out, here, p->at, p->entry};
	return close_entry(x, p->entry, fd, fault) && done;
}

static bool pack(const struct encoder *x, struct worker *w, void *to, size_t room, const void *from,
                 size_t size, uint32_t *packed, struct fault *fault)
{
	size_t n = ZSTD_compress2(w->packer, to, room, from, size);
	if (ZSTD_isError(n))
		return fault_set(fault, EXIT_INTERNAL, x->tree->path, "compress", "%s", ZSTD_getErrorName(n));
	*packed = (uint32_t)n;
	return true;
}

/* The block with the entries that begin in the frame. */
static bool build_block(struct encoder *x, struct worker *w, const struct piece *p, struct frame_row *row,
                        struct fault *fault)
{
	w->block.used = 0;
	if (p->entries == 0)
		return true;
	uint32_t first = p->dir_header ? x->tree->dirs[p->dir].first : p->entry;
	if (!block_write(&w->block, x->tree, first, p->entries) ||
	    !buffer_reserve(&w->block_packed, ZSTD_compressBound(w->block.used)))
		return no_memory(x, fault);
	if (w->block.used > BLOCK_PLAIN_MAX)
		return fault_set(fault, EXIT_VOLUME, x->tree->path, "pack",
		                 "names and targets are over the format's limit");
	row->block_plain = (uint32_t)w->block.used;
	row->block_sum = hash64(w->block.bytes, w->block.used);
	return pack(x, w, w->block_packed.bytes, w->block_packed.room, w->block.bytes, w->block.used,
	            &row->block_packed, fault);
}

/* A file that spans frames is read twice, and a mapping can change it in between without a trace in its
 * times.
 */
static bool check_part(const struct encoder *x, const struct part *p, struct fault *fault)
{
	const struct tree_entry *e = &x->tree->entries[p->entry];
	unsigned char hash[HASH_SIZE];

	if (p->at == 0)
		hash_begin(x->sum);
	hash_add(x->sum, p->bytes, p->size);
	if (p->at + p->size < e->size)
		return true;
	hash_end(x->sum, hash);
	return memcmp(hash, e->hash, sizeof hash) == 0 || changed(x, p->entry, fault);
}

/* Append frame and block, which come in order. */
static bool append(struct encoder *x, struct worker *w, const struct frame_row *row, struct fault *fault)
{
	if (w->part.size && !check_part(x, &w->part, fault))
		return false;
	if (!write_full(x->out->data, w->packed, row->packed, -1))
		return fault_errno(fault, errno, x->out->tmp, "write temporary file");
	x->out->data_size += row->packed;
	return buffer_add(&x->blocks, w->block_packed.bytes, row->block_packed) || no_memory(x, fault);
}

/* Frames that stand alone find fewer matches than one long stream. Twice the places looked at pay that back,
 * at the levels that look at few; the levels above them look at many. */
static void search_more(ZSTD_CCtx *packer, int level)
{
	ZSTD_compressionParameters p = ZSTD_getCParams(level, LAYOUT_MAX, 0);
	if (p.strategy >= ZSTD_greedy && p.strategy <= ZSTD_lazy2)
		ZSTD_CCtx_setParameter(packer, ZSTD_c_searchLog, (int)p.searchLog + 1);
}

static bool start_worker(const struct encoder *x, struct worker *w)
{
	size_t plain = (size_t)LAYOUT_MAX + TAR_END;

	if (w->packer)
		return true;
	w->packer = ZSTD_createCCtx();
	w->plain = malloc(plain);
	w->packed = malloc(ZSTD_compressBound(plain));
	if (!w->packer || !w->plain || !w->packed)
		return false;
	ZSTD_CCtx_setParameter(w->packer, ZSTD_c_compressionLevel, x->options->level);
	search_more(w->packer, x->options->level);
	/* For zstd -t and for tar; decant checks the sums of the index. */
	ZSTD_CCtx_setParameter(w->packer, ZSTD_c_checksumFlag, 1);
	return true;
}

static bool encode_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct encoder *x = context;
	struct worker *w = &x->workers[worker];
	const struct piece *p = &x->layout->frames[number];
	struct frame_row *row = &x->rows[number];

	if (!start_worker(x, w))
		return no_memory(x, fault);
	*row = (struct frame_row){.plain = p->plain, .entries = p->entries};
	w->part.size = 0;
	if (p->items ? !build_items(x, w, p, fault) : !build_rest(x, w, p, fault))
		return false;
	row->sum = hash64(w->plain, p->plain);
	if (!pack(x, w, w->packed, ZSTD_compressBound((size_t)LAYOUT_MAX + TAR_END), w->plain, p->plain,
	          &row->packed, fault) ||
	    !build_block(x, w, p, row, fault) || !pool_turn(x->pool, number))
		return false;
	bool done = append(x, w, row, fault);
	pool_turn_over(x->pool);
	return done;
}

/* A file without a name in directory TMP. */
static int open_nameless(const char *tmp)
{
	char path[PATH_LEN_MAX + 1];
	int fd = open(tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	snprintf(path, sizeof path, "%s/.decant-XXXXXX", tmp);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

bool encoded_open(struct encoded *out, const char *tmp, struct fault *fault)
{
	*out = (struct encoded){.tmp = tmp, .data = open_nameless(tmp)};
	return out->data >= 0 || fault_errno(fault, errno, tmp, "create temporary file");
}

/* Catalog and header, once all frames are known. */
static bool finish_index(struct encoder *x, struct fault *fault)
{
	const struct catalog_facts facts = {
	    .dest = x->options->dest,
	    .revision = x->options->revision,
	    .packer = x->options->packer,
	    .frames = x->layout->count,
	    .rows = x->rows,
	    .data_packed = x->out->data_size,
	    .data_plain = x->layout->plain,
	};
	struct worker w = {.packer = NULL};
	struct buffer catalog = {.bytes = NULL}, packed = {.bytes = NULL};
	uint32_t size = 0;
	bool done = false;

	if (!start_worker(x, &w) || !catalog_write(&catalog, x->tree, &facts) ||
	    !buffer_reserve(&packed, ZSTD_compressBound(catalog.used)))
		no_memory(x, fault);
	else if (catalog.used > CATALOG_PLAIN_MAX || x->blocks.used > UINT32_MAX / 2)
		fault_set(fault, EXIT_VOLUME, x->tree->path, "pack", "the index is over the format's limit");
	else if (pack(x, &w, packed.bytes, packed.room, catalog.bytes, catalog.used, &size, fault))
		done = index_write(x->out, x->tree, &facts, &catalog, packed.bytes, size, &x->blocks) ||
		       no_memory(x, fault);
	free(catalog.bytes);
	free(packed.bytes);
	ZSTD_freeCCtx(w.packer);
	free(w.plain);
	free(w.packed);
	return done;
}

bool encode(struct encoded *out, struct tree *t, const struct layout *layout, const struct encode_options *o,
            struct fault *fault)
{
	struct encoder *x = calloc(1, sizeof *x);
	struct hash_stream sum;
	bool done = false;

	if (!x)
		return fault_set(fault, EXIT_INTERNAL, t->path, "pack", "out of memory");
	*x = (struct encoder){.tree = t, .layout = layout, .options = o, .out = out, .sum = &sum};
	x->rows = calloc(layout->count, sizeof *x->rows);
	if (!x->rows)
		no_memory(x, fault);
	else
		done = pool_run(o->threads, layout->count, encode_frame, x, &x->pool, fault) &&
		       finish_index(x, fault);
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &x->workers[i];
		ZSTD_freeCCtx(w->packer);
		free(w->plain);
		free(w->packed);
		free(w->block.bytes);
		free(w->block_packed.bytes);
	}
	free(x->blocks.bytes);
	free(x->rows);
	free(x);
	return done;
}

void encoded_free(struct encoded *out)
{
	close_fd(&out->data);
	free(out->index);
	out->index = NULL;
}
