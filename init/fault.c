#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "path.h"
#include "stop.h"

static enum exit_code code_of(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return EXIT_SPACE;
	case EACCES:
	case EPERM:
	case EOVERFLOW: /* an idmapped mount, mount_setattr(2), has no number for its owner */
		return EXIT_PERMISSION;
	case EROFS:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EXDEV:
	case ENOENT:
	case EEXIST:
	case ENOTEMPTY:
	case EBUSY:
	case EOPNOTSUPP:
	case ERANGE:
	case ENAMETOOLONG:
	case EMLINK:
	case E2BIG:
	case EINVAL: /* open(2): a name that the file system does not take */
	case EILSEQ: /* the same, for how it is written */
		return EXIT_VOLUME;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EXIT_INTERNAL;
	default:
		return EXIT_IO;
	}
}

/* Where the general text would leave a reader guessing. */
static const char *reason_of(int errnum)
{
	switch (errnum) {
	case ELOOP:
		return "is a symbolic link, or was swapped for one";
	case ERANGE:
		return "the file system cannot hold it, or it changed";
	case EOVERFLOW:
		return "its owner has no number here";
	case EINVAL:
	case EILSEQ:
		return "the file system does not take such a name or value";
	case E2BIG:
		return "has more or longer extended attributes than Linux takes";
	case EXDEV:
		return "leads out of the volume (link or mount point), or is of a lower layer, subvolume or "
		       "project";
	default:
		return strerror(errnum);
	}
}

bool fault_set(struct fault *fault, enum exit_code code, const char *object, const char *action,
               const char *reason, ...)
{
	if (fault->code)
		return false;
	fault->code = code;
	fault->action = action;
	name_escape(fault->object, sizeof fault->object, object, strlen(object));
	va_list args;
	va_start(args, reason);
	vsnprintf(fault->reason, sizeof fault->reason, reason, args);
	va_end(args);
	return false;
}

bool fault_errno(struct fault *fault, int errnum, const char *object, const char *action)
{
	if (errnum == EINTR && !stop_check(fault))
		return false;
	return fault_set(fault, code_of(errnum), object, action, "%s", reason_of(errnum));
}

bool fault_missing(struct fault *fault, int errnum, const char *object, const char *action)
{
	if (code_of(errnum) == EXIT_VOLUME || errnum == EBADF || errnum == ENXIO)
		return fault_set(fault, EXIT_BUNDLE, object, action, "%s", strerror(errnum));
	return fault_errno(fault, errnum, object, action);
}

bool fault_untold(int errnum)
{
	enum exit_code code = code_of(errnum);
	return code == EXIT_IO || code == EXIT_INTERNAL;
}

bool stop_check(struct fault *fault)
{
	int number = stop_requested();
	return number == 0 || fault_set(fault, (enum exit_code)(EXIT_SIGNAL + number), "decant", "stop",
	                                "asked to by signal %d", number);
}
