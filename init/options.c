#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "argument.h"
#include "path.h"
#include "releases.h"

const char options_help[] =
    "Usage: decant [fill] [OPTION]... [BUNDLE]...    fill volumes from bundles\n"
    "       decant verify [OPTION]... [BUNDLE]...    compare volumes with bundles\n"
    "       decant list [--long] [--null] BUNDLE     the names in a bundle\n"
    "       decant info BUNDLE|DIR                   what a bundle is, or what a volume holds\n"
    "\n"
    "Without BUNDLE: every /bundle/*.tar.zst. '-' is standard input.\n"
    "\n"
    "  --log text|json       how to log on standard error; info: how to print\n"
    "fill and verify:\n"
    "  --dest DIR            the volume (else $DECANT_DEST, else what the bundle records)\n"
    "  --threads N           workers, 1 to 64 (default: what CPUs, quota and memory allow)\n"
    "  --expect ID           refuse a bundle with another id\n"
    "  --switch              the tree is DIR/ID, and the link DIR/current is switched to it\n"
    "fill:\n"
    "  --progress auto|bar|lines|none  how to show progress (default: auto)\n"
    "  --prune managed|all|none  remove what earlier fills made and the bundle lacks,\n"
    "                        all that it lacks, or nothing (default: managed)\n"
    "  --keep-releases N     the files of the last N releases stay, 0 to 100 (default: 0;\n"
    "                        with --switch 1: whole trees)\n"
    "  --sync                exit 0 only when everything is on disk\n"
    "  --create              make the last component of DIR when it is missing\n"
    "  --setid               accept setuid, setgid and sticky bits and file capabilities\n"
    "  --lock-timeout N      seconds to wait for another fill (default: 60)\n"
    "  --no-space-check      do not compare free space with what is needed\n"
    "verify:\n"
    "  --extra               also report what the bundle lacks\n"
    "  --no-owner            do not compare owners\n"
    "list:\n"
    "  --long                mode, owner, size and time before each name\n"
    "  -0, --null            names as they are, each ended by a NUL\n"
    "\n"
    "Exit codes: 0 done and checked, 1 internal, 2 usage, 10 bad bundle, 11 unsafe or\n"
    "unusable volume, 12 no space, 13 I/O error, 14 lock timeout, 15 permission,\n"
    "16 verify found a difference, 128+N stopped by signal N. See decant(1).\n";

enum {
	OPT_DEST = 256,
	OPT_THREADS,
	OPT_EXPECT,
	OPT_SWITCH,
	OPT_LOG,
	OPT_PROGRESS,
	OPT_PRUNE,
	OPT_KEEP_RELEASES,
	OPT_SYNC,
	OPT_CREATE,
	OPT_SETID,
	OPT_LOCK_TIMEOUT,
	OPT_NO_SPACE_CHECK,
	OPT_EXTRA,
	OPT_NO_OWNER,
	OPT_LONG,
	OPT_HELP,
	OPT_VERSION
};

static const struct option table[] = {
    {"dest", required_argument, NULL, OPT_DEST},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"switch", no_argument, NULL, OPT_SWITCH},
    {"log", required_argument, NULL, OPT_LOG},
    {"progress", required_argument, NULL, OPT_PROGRESS},
    {"prune", required_argument, NULL, OPT_PRUNE},
    {"keep-releases", required_argument, NULL, OPT_KEEP_RELEASES},
    {"sync", no_argument, NULL, OPT_SYNC},
    {"create", no_argument, NULL, OPT_CREATE},
    {"setid", no_argument, NULL, OPT_SETID},
    {"lock-timeout", required_argument, NULL, OPT_LOCK_TIMEOUT},
    {"no-space-check", no_argument, NULL, OPT_NO_SPACE_CHECK},
    {"extra", no_argument, NULL, OPT_EXTRA},
    {"no-owner", no_argument, NULL, OPT_NO_OWNER},
    {"long", no_argument, NULL, OPT_LONG},
    {"null", no_argument, NULL, '0'},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

#define BIT(command) (1u << (command))

/* The commands that an option goes with, as bits. */
static unsigned commands_of(int option)
{
	switch (option) {
	case OPT_DEST:
	case OPT_THREADS:
	case OPT_EXPECT:
	case OPT_SWITCH:
		return BIT(COMMAND_FILL) | BIT(COMMAND_VERIFY);
	case OPT_PROGRESS:
	case OPT_PRUNE:
	case OPT_KEEP_RELEASES:
	case OPT_SYNC:
	case OPT_CREATE:
	case OPT_SETID:
	case OPT_LOCK_TIMEOUT:
	case OPT_NO_SPACE_CHECK:
		return BIT(COMMAND_FILL);
	case OPT_EXTRA:
	case OPT_NO_OWNER:
		return BIT(COMMAND_VERIFY);
	case OPT_LONG:
	case '0':
		return BIT(COMMAND_LIST);
	default:
		return ~0u;
	}
}

static bool usage(struct fault *fault, const char *object, const char *reason)
{
	return fault_set(fault, EXIT_USAGE, object, "usage", "%s (see decant --help)", reason);
}

static bool parse_number(const char *text, unsigned low, unsigned high, unsigned *out)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || number < low || number > high)
		return false;
	*out = (unsigned)number;
	return true;
}

/* The place of TEXT in CHOICES (NULL-terminated), or -1. */
static int parse_choice(const char *text, const char *const *choices)
{
	for (int i = 0; choices[i]; i++)
		if (strcmp(text, choices[i]) == 0)
			return i;
	return -1;
}

static bool apply_valued(struct options *o, int option, char *value, struct fault *fault)
{
	static const char *const prunes[] = {"managed", "all", "none", NULL};
	static const char *const progresses[] = {"auto", "bar", "lines", "none", NULL};
	static const char *const logs[] = {"text", "json", NULL};
	int choice;

	switch (option) {
	case OPT_DEST:
		o->dest = value;
		return *value ? true : usage(fault, "--dest", "wants a directory");
	case OPT_EXPECT:
		o->expect = value;
		return id_valid(value) ? true
		                       : usage(fault, "--expect", "wants a bundle id, 32 hexadecimal digits");
	case OPT_THREADS:
		return parse_number(value, 1, 64, &o->threads) ||
		       usage(fault, "--threads", "wants a number from 1 to 64");
	case OPT_LOCK_TIMEOUT:
		return parse_number(value, 0, 86400, &o->lock_timeout) ||
		       usage(fault, "--lock-timeout", "wants seconds, 0 to 86400");
	case OPT_KEEP_RELEASES:
		return parse_number(value, 0, RELEASES_MAX, &o->keep_releases) ||
		       usage(fault, "--keep-releases", "wants a number from 0 to 100");
	case OPT_PRUNE:
		choice = parse_choice(value, prunes);
		o->prune = (enum prune)choice;
		return choice >= 0 || usage(fault, "--prune", "wants managed, all or none");
	case OPT_PROGRESS:
		choice = parse_choice(value, progresses);
		o->progress = (enum progress)choice;
		return choice >= 0 || usage(fault, "--progress", "wants auto, bar, lines or none");
	default:
		choice = parse_choice(value, logs);
		o->json = choice == 1;
		return choice >= 0 || usage(fault, "--log", "wants text or json");
	}
}

static void apply_flag(struct options *o, int option)
{
	switch (option) {
	case OPT_SWITCH:
		o->switched = true;
		break;
	case OPT_SYNC:
		o->sync = true;
		break;
	case OPT_CREATE:
		o->create = true;
		break;
	case OPT_SETID:
		o->setid = true;
		break;
	case OPT_NO_SPACE_CHECK:
		o->space_check = false;
		break;
	case OPT_EXTRA:
		o->extra = true;
		break;
	case OPT_NO_OWNER:
		o->owners = false;
		break;
	case OPT_LONG:
		o->long_list = true;
		break;
	case '0':
		o->null = true;
		break;
	case OPT_HELP:
		o->command = COMMAND_HELP;
		break;
	case OPT_VERSION:
		o->command = COMMAND_VERSION;
		break;
	default:
		break;
	}
}

/* Take the command off the front of ARGV, if there is one. */
static int take_command(struct options *o, int argc, char **argv)
{
	static const char *const commands[] = {"fill", "verify", "list", "info", NULL};
	int choice = argc > 1 ? parse_choice(argv[1], commands) : -1;
	if (choice < 0)
		return 0;
	o->command = (enum command)choice;
	return 1;
}

bool options_parse(struct options *o, int argc, char **argv, struct fault *fault)
{
	*o = (struct options){.lock_timeout = 60,
	                      .keep_releases = UINT_MAX,
	                      .space_check = true,
	                      .owners = true,
	                      .dest = getenv("DECANT_DEST")};
	if (o->dest && !*o->dest)
		o->dest = NULL;
	int skip = take_command(o, argc, argv);
	enum command command = o->command;

	opterr = 0;
	for (optind = 1 + skip;;) {
		const char *word = next_option(argc, argv, "decant");
		int option = getopt_long(argc, argv, ":0", table, NULL);
		if (option == -1)
			break;
		if (option == '?' || option == ':')
			return usage(fault, word, option == '?' ? "no such option" : "wants a value");
		if (!(commands_of(option) & BIT(command)))
			return usage(fault, word, "does not go with this command");
		if (optarg ? !apply_valued(o, option, optarg, fault) : (apply_flag(o, option), false))
			return false;
	}
	o->bundles = argv + optind;
	o->bundle_count = argc - optind;
	int pipes = 0;
	for (int i = 0; i < o->bundle_count; i++)
		pipes += strcmp(o->bundles[i], "-") == 0;
	if (o->keep_releases == UINT_MAX)
		o->keep_releases = o->switched;
	if ((o->keep_releases > 0 || o->switched) && o->prune != PRUNE_MANAGED)
		return usage(fault, o->switched ? "--switch" : "--keep-releases",
		             "goes with --prune managed alone");
	if (pipes > 1)
		return usage(fault, "-", "standard input holds one bundle");
	if ((o->command == COMMAND_LIST || o->command == COMMAND_INFO) && o->bundle_count != 1)
		return usage(fault, "decant", "list and info want one argument");
	return true;
}
