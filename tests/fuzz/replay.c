/* replay.c - runs a target on files without libFuzzer: for builds that libFuzzer cannot be in, and to make
 * mutants.
 *
 *     TARGET FILE...                      each file once
 *     TARGET --mutants N SEED FILE...     N mutants, each of up to five steps, the same for the same SEED */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "mutate.h"
#include "target.h"

enum { LARGEST = 1 << 20 };

struct input {
	uint8_t *data;
	size_t size;
};

static struct input read_input(const char *name)
{
	struct input in = {malloc(LARGEST), 0};
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 || !in.data ? -1 : read(fd, in.data, LARGEST);

	if (n < 0) {
		fprintf(stderr, "replay: %s: read: failed\n", name);
		exit(2);
	}
	close(fd);
	in.size = (size_t)n;
	return in;
}

static struct dice dice;

/* One to four bytes of DATA become others. */
static size_t bytewise(uint8_t *data, size_t size, size_t max)
{
	(void)max;
	for (uint32_t n = size ? 1 + below(&dice, 4) : 0; n; n--)
		data[below(&dice, size)] ^= (uint8_t)(1u << below(&dice, 8));
	return size;
}

static void run(const uint8_t *data, size_t size)
{
	/* A copy of just this size, so that a read behind it is seen. */
	uint8_t *copy = malloc(size ? size : 1);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	int first = argc > 4 && strcmp(argv[1], "--mutants") == 0 ? 4 : 1, files = argc - first;
	unsigned long mutants = first == 4 ? strtoul(argv[2], NULL, 10) : 0;

	if (files < 1) {
		fputs("usage: TARGET [--mutants N SEED] FILE...\n", stderr);
		return 2;
	}
	struct input *inputs = calloc((size_t)files, sizeof *inputs);
	for (int i = 0; i < files; i++)
		inputs[i] = read_input(argv[first + i]);
	LLVMFuzzerInitialize(&argc, &argv);
	/* What decant says is not of interest; what a sanitizer says goes to the file that its options name.
	 */
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 2) != 2)
		broken("/dev/null cannot be opened");
	setenv("DECANT_FUZZ_WORKERS", first == 4 ? "8" : "1", 0);
	for (int i = 0; i < files && !mutants; i++)
		run(inputs[i].data, inputs[i].size);
	dice.seed = mutants ? strtoull(argv[3], NULL, 10) : 0;
	for (unsigned long n = 0; n < mutants; n++) {
		static uint8_t data[LARGEST];
		const struct input *in = &inputs[below(&dice, (uint64_t)files)];
		size_t size = in->size;
		memcpy(data, in->data, size);
		for (uint32_t steps = 1 + below(&dice, 5); steps; steps--)
			size = mutate(data, size, sizeof data, roll(&dice), bytewise);
		run(data, size);
	}
	for (int i = 0; i < files; i++)
		free(inputs[i].data);
	free(inputs);
	return dprintf(broken_fd, "%lu runs\n", mutants ? mutants : (unsigned long)files) < 0;
}
