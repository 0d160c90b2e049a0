/* encode.h - turns a laid-out tree into a bundle: reads the content, hashes and compresses frames on all
 * cores, and writes them in order; the index, which comes first in the file, is known last. */
#ifndef DECANT_ENCODE_H
#define DECANT_ENCODE_H

#include "fault.h"
#include "layout.h"
#include "tree.h"

struct encode_options {
	int level; /* of zstd, 1 to 22 */
	unsigned threads;
	const char *dest;     /* recorded in the catalog; "" for none */
	const char *revision; /* likewise */
	const char *packer;   /* likewise: this program and its version */
};

struct encoded {
	const char *tmp;      /* the directory with the temporary file */
	int data;             /* descriptor of a nameless temporary file with the packed frames */
	unsigned char *index; /* all that stands before them: lead, header, catalog, blocks; owned */
	size_t index_size;
	uint64_t data_size;
	uint64_t content; /* bytes of all files */
	char id[33];      /* the bundle's id, hexadecimal */
};

/* Make the temporary file in directory TMP. Before the tree is scanned: TMP may be in it, and change thereby.
 * Pass encoded_free in any case. */
bool encoded_open(struct encoded *out, const char *tmp, struct fault *fault);
/* Make the bundle's two parts. A file that is not what it was when it was scanned is a fault (EXIT_IO). */
bool encode(struct encoded *out, struct tree *tree, const struct layout *layout,
            const struct encode_options *options, struct fault *fault);
void encoded_free(struct encoded *out);

#endif
