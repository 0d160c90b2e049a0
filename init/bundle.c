#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "frame.h"
#include "hash.h"
#include "io.h"
#include "validate.h"

static bool bad(const struct bundle *b, struct fault *fault, const char *action, const char *wrong)
{
	bool memory = strcmp(wrong, "out of memory") == 0;
	enum exit_code code = memory ? EXIT_INTERNAL : b->held ? EXIT_VOLUME : EXIT_BUNDLE;
	return fault_set(fault, code, b->name, action, "%s", wrong);
}

/* SIZE bytes of the bundle: at offset AT of a file, the next ones of a stream. */
static bool fetch(const struct bundle *b, void *to, size_t size, int64_t at, struct fault *fault)
{
	ssize_t n = b->stream ? read_stream(b->fd, to, size) : read_full(b->fd, to, size, at);
	if (n < 0)
		return fault_errno(fault, errno, b->name, "read");
	if ((size_t)n < size)
		return bad(b, fault, "read", "it is cut short");
	if (b->sealing)
		seal_add(b->sealing, to, size);
	return true;
}

/* SIZE bytes of the index, which of a stream are in memory. */
static bool fetch_index(const struct bundle *b, void *to, size_t size, int64_t at, struct fault *fault)
{
	if (!b->index)
		return fetch(b, to, size, at, fault);
	memcpy(to, b->index + (at - b->index_at), size);
	return true;
}

/* The rest of a stream's index, behind the header at BYTES. Memory is taken as the bytes come: the header may
 * promise gigabytes that nobody ever sends. */
static bool keep_index(struct bundle *b, const struct header *head, const unsigned char *bytes,
                       struct fault *fault)
{
	size_t size = HEADER_SIZE + head->catalog_packed + (size_t)head->blocks_packed;

	for (size_t have = 0, room = 1 << 20; have < size; room *= 2) {
		size_t want = size < room ? size : room;
		unsigned char *index = realloc(b->index, want);
		if (!index)
			return bad(b, fault, "read index", "out of memory");
		b->index = index;
		if (have == 0) {
			memcpy(index, bytes, HEADER_SIZE);
			have = HEADER_SIZE;
		}
		if (!fetch(b, index + have, want - have, 0, fault))
			return false;
		have = want;
	}
	return true;
}

static bool read_header(struct bundle *b, struct header *head, int64_t at, struct fault *fault)
{
	unsigned char bytes[HEADER_SIZE];

	if (!fetch(b, bytes, sizeof bytes, at, fault))
		return false;
	const char *wrong = header_parse(head, bytes);
	if (wrong)
		return bad(b, fault, "read header", wrong);
	for (unsigned i = 0; i < 16; i++) {
		static const char digits[] = "0123456789abcdef";
		b->id[2 * i] = digits[head->id[i] >> 4];
		b->id[2 * i + 1] = digits[head->id[i] & 15];
	}
	b->index_at = at;
	b->blocks_at = at + HEADER_SIZE + head->catalog_packed;
	b->data_at = b->blocks_at + (int64_t)head->blocks_packed;
	b->size = (uint64_t)b->data_at + head->data_packed;
	return b->stream ? keep_index(b, head, bytes, fault) : true;
}

/* Unpack the catalog. Its id stands in the header. */
static const char *unpack_catalog(struct bundle *b, const struct header *head, const unsigned char *packed)
{
	struct ZSTD_DCtx_s *unpacker = unpacker_new();
	const char *wrong = unpacker ? NULL : "out of memory";

	if (!wrong)
		wrong = frame_unpack(unpacker, b->plain, head->catalog_plain, packed, head->catalog_packed);
	unpacker_free(unpacker);
	if (wrong)
		return wrong;
	unsigned char id[HASH_SIZE];
	hash128(b->plain, head->catalog_plain, id);
	if (memcmp(id, head->id, sizeof id) != 0)
		return "the catalog's checksum is wrong";
	return catalog_parse(&b->catalog, head, b->plain);
}

#define TOO_LARGE "too large"

/* May one more piece of the index, of SIZE bytes, be read and unpacked? Else it is TOO_LARGE. */
static bool afford(const struct bundle *b, uint32_t size)
{
	if (!b->budget)
		return true;
	if (size > BUDGET_PIECE || size > *b->budget)
		return false;
	*b->budget -= size;
	return true;
}

static bool read_catalog(struct bundle *b, const struct header *head, int64_t at, struct fault *fault)
{
	bool affordable = afford(b, head->catalog_packed) && afford(b, head->catalog_plain);
	unsigned char *packed = affordable ? malloc(head->catalog_packed + 1) : NULL;
	bool done = false;

	b->plain = packed ? malloc(head->catalog_plain + 1) : NULL;
	if (!b->plain) {
		bad(b, fault, "read catalog", affordable ? "out of memory" : TOO_LARGE);
	} else if (fetch_index(b, packed, head->catalog_packed, at, fault)) {
		const char *wrong = unpack_catalog(b, head, packed);
		done = wrong ? bad(b, fault, "read catalog", wrong) : true;
	}
	free(packed);
	return done;
}

/* Read every block once and check them as a whole. */
static bool check_blocks(struct bundle *b, struct fault *fault)
{
	struct reader reader;
	/* What all blocks need at least, before there are tables of as many entries as the catalog says. */
	bool large = b->budget && (uint64_t)b->catalog.head.entries * ENTRY_COLUMNS > *b->budget;
	struct check *check = large ? NULL : check_new(&b->catalog);

	b->seals = malloc(b->catalog.head.frames * sizeof *b->seals);
	const char *wrong = large ? TOO_LARGE : check && b->seals ? NULL : "out of memory";
	reader_init(&reader, b);
	for (uint32_t i = 0; i < b->catalog.head.frames && !wrong; i++) {
		if (!stop_check(fault))
			break;
		struct frame frame = catalog_frame(&b->catalog, i);
		if (!afford(b,
		            frame.block_plain > frame.block_packed ? frame.block_plain : frame.block_packed))
			wrong = TOO_LARGE;
		else if (reader_block(&reader, i, fault))
			wrong = check_block(check, i, &reader.block);
		else
			break;
	}
	if (!wrong && !fault->code)
		wrong = check_end(check);
	if (wrong)
		bad(b, fault, "check index", wrong);
	check_free(check);
	reader_free(&reader);
	b->sealed = fault->code == EXIT_DONE;
	return b->sealed;
}

/* From the header at offset AT on: header, catalog, blocks, each byte once and in order. */
static bool read_parts(struct bundle *b, int64_t at, bool with_data, struct fault *fault)
{
	struct header head;
	struct stat st;

	if (!read_header(b, &head, at, fault))
		return false;
	if (!b->stream) {
		uint64_t want = with_data ? b->size : (uint64_t)b->data_at;
		if (fstat(b->fd, &st) != 0)
			return fault_errno(fault, errno, b->name, "stat");
		if ((uint64_t)st.st_size < want)
			return bad(b, fault, "read", "it is cut short");
		if ((uint64_t)st.st_size > want)
			return bad(b, fault, "read", "there are bytes after the bundle's end");
	}
	return read_catalog(b, &head, at + HEADER_SIZE, fault) && check_blocks(b, fault);
}

static bool read_index(struct bundle *b, int64_t at, bool with_data, struct fault *fault)
{
	struct hash_seal seal;

	seal_begin(&seal);
	b->sealing = &seal;
	bool done = read_parts(b, at, with_data, fault);
	b->sealing = NULL;
	b->index_seal = seal_end(&seal);
	return done;
}

static bool read_lead(struct bundle *b, struct fault *fault)
{
	unsigned char lead[LEAD_TOTAL + HEADER_SIZE];
	ssize_t n = b->stream ? read_stream(b->fd, lead, LEAD_TOTAL) : read_full(b->fd, lead, LEAD_TOTAL, 0);

	if (n < 0)
		return fault_errno(fault, errno, b->name, "read");
	if (n == 0)
		return bad(b, fault, "read", "the bundle is empty");
	if (n < LEAD_TOTAL || memcmp(lead, LEAD_BYTES, LEAD_SIZE) != 0)
		return bad(b, fault, "read", "not a decant bundle");
	if (!read_index(b, LEAD_TOTAL, true, fault))
		return false;
	if (get32(lead + LEAD_SIZE) != bundle_index_size(b))
		return bad(b, fault, "read", "the skippable frame's size is not the index's");
	return true;
}

static bool start(struct bundle *b, const char *name, int fd)
{
	memset(b, 0, sizeof *b);
	b->fd = fd;
	b->name = strdup(name);
	return b->name;
}

bool bundle_open(struct bundle *b, const char *name, struct fault *fault)
{
	bool standard = strcmp(name, "-") == 0;
	struct stat st;

	if (!start(b, standard ? "standard input" : name, -1)) {
		fault_set(fault, EXIT_INTERNAL, name, "open", "out of memory");
		goto fail;
	}
	b->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
	                 : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (b->fd < 0 || fstat(b->fd, &st) != 0) {
		fault_missing(fault, errno, b->name, "open");
		goto fail;
	}
	if (S_ISDIR(st.st_mode)) {
		bad(b, fault, "open", "is a directory");
		goto fail;
	}
	b->stream = standard || !S_ISREG(st.st_mode);
	if (read_lead(b, fault))
		return true;
fail:
	bundle_close(b);
	return false;
}

bool bundle_open_index(struct bundle *b, const char *name, int fd, int64_t at, uint64_t *budget,
                       struct fault *fault)
{
	bool started = start(b, name, fd), done = false;

	b->budget = budget;
	if (started)
		done = read_index(b, at, false, fault);
	else
		fault_set(fault, EXIT_INTERNAL, name, "open", "out of memory");
	b->budget = NULL;
	if (!done)
		bundle_close(b);
	return done;
}

void bundle_close(struct bundle *b)
{
	catalog_free(&b->catalog);
	free(b->plain);
	free(b->seals);
	free(b->index);
	free(b->name);
	close_fd(&b->fd);
	memset(b, 0, sizeof *b);
	b->fd = -1;
}

uint64_t bundle_index_size(const struct bundle *b)
{
	const struct header *head = &b->catalog.head;
	return HEADER_SIZE + head->catalog_packed + head->blocks_packed;
}

bool bundle_index_copy(const struct bundle *b, int fd, int64_t at, const char *what, struct fault *fault)
{
	enum { PIECE = 1 << 18 };
	uint64_t size = bundle_index_size(b);
	unsigned char *piece = malloc(PIECE);
	struct hash_seal seal;

	if (!piece)
		return bad(b, fault, "copy index", "out of memory");
	seal_begin(&seal);
	for (uint64_t done = 0; done < size && !fault->code; done += PIECE) {
		size_t n = size - done < PIECE ? (size_t)(size - done) : PIECE;
		if (!fetch_index(b, piece, n, b->index_at + (int64_t)done, fault))
			break;
		seal_add(&seal, piece, n);
		if (!write_full(fd, piece, n, at + (int64_t)done))
			fault_errno(fault, errno, what, "write");
	}
	free(piece);
	if (!fault->code && !b->index && seal_end(&seal) != b->index_seal)
		bad(b, fault, "copy index", "the index has changed since it was checked");
	return fault->code == EXIT_DONE;
}

bool bundle_index_is(const struct bundle *b, int fd, int64_t at)
{
	unsigned char piece[1 << 14];
	struct hash_seal seal;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 || (uint64_t)(st.st_size - at) != bundle_index_size(b))
		return false;
	seal_begin(&seal);
	for (; (n = read_full(fd, piece, sizeof piece, at)) > 0; at += n)
		seal_add(&seal, piece, (size_t)n);
	return seal_end(&seal) == b->index_seal;
}

void bundle_drain(const struct bundle *b)
{
	char piece[1 << 14];
	uint64_t left = b->stream ? b->catalog.head.data_packed : 0;

	while (left > 0) {
		ssize_t n = read_stream(b->fd, piece, left < sizeof piece ? (size_t)left : sizeof piece);
		left -= n > 0 ? (uint64_t)n : left;
	}
}

bool bundle_end(const struct bundle *b, struct fault *fault)
{
	char more;
	if (!b->stream)
		return true;
	ssize_t n = read_stream(b->fd, &more, 1);
	if (n < 0)
		return fault_errno(fault, errno, b->name, "read");
	return n == 0 || bad(b, fault, "read", "there are bytes after the bundle's end");
}

void reader_init(struct reader *r, struct bundle *b)
{
	memset(r, 0, sizeof *r);
	r->bundle = b;
	r->block_number = NO_ENTRY;
}

void reader_free(struct reader *r)
{
	unpacker_free(r->unpacker);
	free(r->packed);
	free(r->block_plain);
	free(r->frame_plain);
	block_free(&r->block);
	memset(r, 0, sizeof *r);
}

static bool reserve(struct reader *r, unsigned char **buffer, size_t size, struct fault *fault)
{
	const struct catalog *c = &r->bundle->catalog;
	size_t packed = c->frame_packed_max > c->block_packed_max ? c->frame_packed_max : c->block_packed_max;

	if (!r->unpacker)
		r->unpacker = unpacker_new();
	if (!r->packed)
		r->packed = malloc(packed + 1);
	if (!*buffer)
		*buffer = malloc(size + 1);
	if (!r->unpacker || !r->packed || !*buffer)
		return bad(r->bundle, fault, "read", "out of memory");
	return true;
}

/* A file is read anew each time. Its sums keep nobody from changing it in between to what was never checked,
 * and to names that lead out of the volume. */
static const char *check_seal(struct bundle *b, uint32_t number, const unsigned char *plain, size_t size)
{
	uint64_t seal = hash64_secret(plain, size);
	if (!b->sealed)
		b->seals[number] = seal;
	return seal == b->seals[number] ? NULL : "the index has changed since it was checked";
}

bool reader_block(struct reader *r, uint32_t number, struct fault *fault)
{
	struct bundle *b = r->bundle;
	struct frame frame = catalog_frame(&b->catalog, number);
	const char *wrong = NULL;

	if (number == r->block_number)
		return true;
	r->block_number = NO_ENTRY;
	if (!reserve(r, &r->block_plain, b->catalog.block_plain_max, fault))
		return false;
	if (frame.count) {
		if (!fetch_index(b, r->packed, frame.block_packed, b->blocks_at + (int64_t)frame.block_at,
		                 fault))
			return false;
		wrong = frame_unpack_sum(r->unpacker, r->block_plain, frame.block_plain, r->packed,
		                         frame.block_packed, frame.block_sum);
		if (!wrong && !b->index)
			wrong = check_seal(b, number, r->block_plain, frame.block_plain);
	}
	if (!wrong)
		wrong = block_parse(&r->block, &frame, r->block_plain);
	if (wrong)
		return bad(b, fault, "read index", wrong);
	r->block_number = number;
	return true;
}

bool reader_fetch(struct reader *r, uint32_t number, struct fault *fault)
{
	const struct bundle *b = r->bundle;
	struct frame frame = catalog_frame(&b->catalog, number);

	return reserve(r, &r->frame_plain, b->catalog.frame_plain_max, fault) &&
	       fetch(b, r->packed, frame.packed, b->data_at + (int64_t)frame.packed_at, fault);
}

bool reader_unpack(struct reader *r, uint32_t number, struct fault *fault)
{
	struct frame frame = catalog_frame(&r->bundle->catalog, number);
	const char *wrong =
	    frame_unpack_sum(r->unpacker, r->frame_plain, frame.plain, r->packed, frame.packed, frame.sum);
	if (!wrong)
		return true;
	return fault_set(fault, EXIT_BUNDLE, r->bundle->name, "unpack", "frame %u of %u: %s", number + 1,
	                 r->bundle->catalog.head.frames, wrong);
}
