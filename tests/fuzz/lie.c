/* lie - a bundle packed anew in frames as small as one likes, and, on request, with hashes that its contents
 * do not have. All else is right.
 *
 *     lie FRAME BUNDLE [OTHER] >NEW
 *
 * FRAME: bytes of a frame, about; what is larger spans several. OTHER: each file gets the hash that the entry
 * of its number has there. Frames and blocks are not compressed, so that the same names give the same sizes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

static void read_bundle(const char *name, struct doc *doc, struct model *model)
{
	enum { LARGEST = 1 << 20 };
	uint8_t *bytes = arena_take(LARGEST);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, LARGEST);

	if (n <= 0 || !doc_read(doc, bytes, (size_t)n) || !model_read(model, doc))
		broken("%s: no bundle that can be read", name);
	close(fd);
}

int main(int argc, char **argv)
{
	struct doc *doc = arena_take(2 * sizeof *doc);
	struct model *model = arena_take(2 * sizeof *model);
	struct dice dice = {1};
	struct seal seal = {.dice = &dice, .raw_zstd = true};

	if (argc < 3)
		broken("usage: lie FRAME BUNDLE [OTHER]");
	read_bundle(argv[2], doc, model);
	model_repair(model, doc, strtoul(argv[1], NULL, 10));
	if (argc > 3) {
		read_bundle(argv[3], doc + 1, model + 1);
		if (!model_read(model, doc) || model[0].entries != model[1].entries)
			broken("%s: has other entries", argv[3]);
		for (uint32_t i = 0; i < model->entries; i++)
			memcpy(model[0].entry[i].hash, model[1].entry[i].hash, sizeof model->entry->hash);
		model_write(model, doc);
	}
	struct bytes out = doc_write(doc, &seal);
	return out.n == 0 || fwrite(out.s, 1, out.n, stdout) != out.n || fflush(stdout) != 0;
}
