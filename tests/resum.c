/* resum - makes a head's sum right again, after somebody has changed the head: only then is it asked what it
 * says.
 *
 *     resum bundle|state <FILE >FILE
 *
 * init/FORMAT.md has both heads. */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

int main(int argc, char **argv)
{
	static unsigned char bytes[1 << 24];
	size_t size = fread(bytes, 1, sizeof bytes, stdin);
	int is_state = argc == 2 && strcmp(argv[1], "state") == 0;
	size_t at = is_state ? 0 : 17, head = is_state ? 76 : 80;

	if (argc != 2 || size < at + head + 8 || size == sizeof bytes)
		return 2;
	XXH64_hash_t sum = XXH3_64bits(bytes + at, head);
	for (int i = 0; i < 8; i++)
		bytes[at + head + (size_t)i] = (unsigned char)(sum >> (8 * i));
	return fwrite(bytes, 1, size, stdout) != size || fflush(stdout) != 0;
}
