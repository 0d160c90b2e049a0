#include "pack_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "argument.h"
#include "format.h"
#include "path.h"

const char pack_options_help[] =
    "Usage: decant-pack [OPTION]... -o OUT.tar.zst DIR    pack DIR into a bundle\n"
    "\n"
    "Without -o, or with -o -, the bundle goes to standard output.\n"
    "\n"
    "  -o, --output FILE     the bundle; it appears when it is whole\n"
    "      --dest PATH       the absolute path that decant fills when none is named\n"
    "      --revision TEXT   a name for this release\n"
    "      --level N         zstd level 1 to 19, with --ultra to 22 (default: 9)\n"
    "      --ultra           allow levels 20 to 22\n"
    "      --threads N       workers, 1 to 64 (default: what CPUs, quota and memory allow)\n"
    "      --owner UID:GID   owner of everything (default: 0:0)\n"
    "      --preserve-owner  keep the owners of the source\n"
    "      --exclude PATTERN leave out what matches, as a line of .dockerignore would\n"
    "      --ignore-file FILE   read patterns from FILE (default: DIR/.decantignore)\n"
    "      --no-ignore-file  read no such file\n"
    "      --skip-special    leave out sockets, fifos and devices instead of refusing\n"
    "      --setid           keep setuid, setgid and sticky bits and file capabilities\n"
    "      --no-xattrs       leave out extended attributes\n"
    "      --log text|json   how to log on standard error\n"
    "      --quiet           log nothing but errors\n"
    "\n"
    "SOURCE_DATE_EPOCH, when set, is the latest time of modification that a bundle gets.\n"
    "Exit codes: 0 done, 1 internal, 2 usage, 11 something in DIR cannot be packed,\n"
    "12 no space, 13 I/O error or a tree that changed while it was packed, 15 permission,\n"
    "128+N stopped by signal N. See decant-pack(1).\n";

enum {
	OPT_DEST = 256,
	OPT_REVISION,
	OPT_LEVEL,
	OPT_ULTRA,
	OPT_THREADS,
	OPT_OWNER,
	OPT_PRESERVE_OWNER,
	OPT_EXCLUDE,
	OPT_IGNORE_FILE,
	OPT_NO_IGNORE_FILE,
	OPT_SKIP_SPECIAL,
	OPT_SETID,
	OPT_NO_XATTRS,
	OPT_LOG,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION
};

static const struct option table[] = {
    {"output", required_argument, NULL, 'o'},
    {"dest", required_argument, NULL, OPT_DEST},
    {"revision", required_argument, NULL, OPT_REVISION},
    {"level", required_argument, NULL, OPT_LEVEL},
    {"ultra", no_argument, NULL, OPT_ULTRA},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"owner", required_argument, NULL, OPT_OWNER},
    {"preserve-owner", no_argument, NULL, OPT_PRESERVE_OWNER},
    {"exclude", required_argument, NULL, OPT_EXCLUDE},
    {"ignore-file", required_argument, NULL, OPT_IGNORE_FILE},
    {"no-ignore-file", no_argument, NULL, OPT_NO_IGNORE_FILE},
    {"skip-special", no_argument, NULL, OPT_SKIP_SPECIAL},
    {"setid", no_argument, NULL, OPT_SETID},
    {"no-xattrs", no_argument, NULL, OPT_NO_XATTRS},
    {"log", required_argument, NULL, OPT_LOG},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static bool usage(struct fault *fault, const char *object, const char *reason)
{
	return fault_set(fault, EXIT_USAGE, object, "usage", "%s (see decant-pack --help)", reason);
}

/* A decimal number from LOW to HIGH that ends at END. */
static bool parse_number(const char *text, char end, unsigned long long low, unsigned long long high,
                         unsigned long long *out, const char **rest)
{
	char *after;
	errno = 0;
	*out = strtoull(text, &after, 10);
	*rest = after;
	return !errno && after != text && *text >= '0' && *text <= '9' && *after == end && *out >= low &&
	       *out <= high;
}

static bool parse_owner(struct pack_options *o, const char *text)
{
	unsigned long long uid, gid;
	const char *rest;
	if (!parse_number(text, ':', 0, UINT32_MAX - 1, &uid, &rest) ||
	    !parse_number(rest + 1, '\0', 0, UINT32_MAX - 1, &gid, &rest))
		return false;
	o->uid = (uint32_t)uid;
	o->gid = (uint32_t)gid;
	o->owner = true;
	return true;
}

static bool set_text(const char **field, const char *value, size_t most, const char *option,
                     struct fault *fault)
{
	*field = value;
	return strlen(value) <= most || usage(fault, option, "is too long");
}

static bool apply_valued(struct pack_options *o, int option, const char *value, struct fault *fault)
{
	unsigned long long number = 0;
	const char *rest;

	switch (option) {
	case 'o':
		o->output = strcmp(value, "-") == 0 ? NULL : value;
		return (*value && strlen(value) < PATH_LEN_MAX) || usage(fault, "-o", "wants a file");
	case OPT_DEST:
		o->dest = value;
		return dest_valid(value, strlen(value)) ||
		       usage(fault, "--dest", "wants an absolute path without . and ..");
	case OPT_REVISION:
		return set_text(&o->revision, value, 1024, "--revision", fault);
	case OPT_LEVEL:
		if (!parse_number(value, '\0', 1, 22, &number, &rest))
			return usage(fault, "--level", "wants a number from 1 to 19, with --ultra to 22");
		o->level = (int)number;
		return true;
	case OPT_THREADS:
		if (!parse_number(value, '\0', 1, 64, &number, &rest))
			return usage(fault, "--threads", "wants a number from 1 to 64");
		o->threads = (unsigned)number;
		return true;
	case OPT_OWNER:
		return parse_owner(o, value) || usage(fault, "--owner", "wants UID:GID, two numbers");
	case OPT_EXCLUDE:
		o->excludes[o->exclude_count++] = value;
		return true;
	case OPT_IGNORE_FILE:
		o->ignore_file = value;
		return true;
	default:
		o->json = strcmp(value, "json") == 0;
		return o->json || strcmp(value, "text") == 0 || usage(fault, "--log", "wants text or json");
	}
}

static void apply_flag(struct pack_options *o, int option, bool *ultra)
{
	*ultra = *ultra || option == OPT_ULTRA;
	o->preserve_owner = o->preserve_owner || option == OPT_PRESERVE_OWNER;
	o->no_ignore_file = o->no_ignore_file || option == OPT_NO_IGNORE_FILE;
	o->skip_special = o->skip_special || option == OPT_SKIP_SPECIAL;
	o->setid = o->setid || option == OPT_SETID;
	o->xattrs = o->xattrs && option != OPT_NO_XATTRS;
	o->quiet = o->quiet || option == OPT_QUIET;
	o->help = o->help || option == OPT_HELP;
	o->version = o->version || option == OPT_VERSION;
}

static bool read_epoch(struct pack_options *o, struct fault *fault)
{
	const char *text = getenv("SOURCE_DATE_EPOCH"), *rest;
	unsigned long long number;

	if (!text || !*text)
		return true;
	if (!parse_number(text, '\0', 0, INT64_MAX, &number, &rest))
		return usage(fault, "SOURCE_DATE_EPOCH", "wants seconds since 1970");
	o->clamp = true;
	o->epoch = (int64_t)number;
	return true;
}

/* What only the options together can tell. */
static bool check_options(struct pack_options *o, int argc, char **argv, bool ultra, struct fault *fault)
{
	if (o->help || o->version)
		return true;
	if (o->level > 19 && !ultra)
		return usage(fault, "--level", "above 19 wants --ultra");
	if (argc - optind != 1)
		return usage(fault, "decant-pack", "wants one directory");
	o->source = argv[optind];
	if (strlen(o->source) >= PATH_LEN_MAX)
		return usage(fault, "decant-pack", "wants a shorter path");
	if (o->ignore_file && o->no_ignore_file)
		return usage(fault, "--ignore-file", "does not go with --no-ignore-file");
	if (o->owner && o->preserve_owner)
		return usage(fault, "--owner", "does not go with --preserve-owner");
	if (!o->output && isatty(STDOUT_FILENO))
		return usage(fault, "standard output", "is a terminal; name a file with -o");
	return read_epoch(o, fault);
}

bool pack_options_parse(struct pack_options *o, int argc, char **argv, struct fault *fault)
{
	bool ultra = false;

	*o = (struct pack_options){.dest = "", .revision = "", .level = 9, .xattrs = true};
	o->excludes = calloc((size_t)argc + 1, sizeof *o->excludes);
	if (!o->excludes)
		return fault_set(fault, EXIT_INTERNAL, "decant-pack", "start", "out of memory");
	opterr = 0;
	for (;;) {
		const char *word = next_option(argc, argv, "decant-pack");
		int option = getopt_long(argc, argv, ":o:", table, NULL);
		if (option == -1)
			break;
		if (option == '?' || option == ':')
			return usage(fault, word, option == '?' ? "no such option" : "wants a value");
		if (!optarg)
			apply_flag(o, option, &ultra);
		else if (!apply_valued(o, option, optarg, fault))
			return false;
	}
	return check_options(o, argc, argv, ultra, fault);
}
