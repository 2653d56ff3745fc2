/* What a file name says about its content: PictoPy's lists of extensions, in any letter case. */

#include "util/media_kind.h"

#include <stddef.h>
#include <strings.h>

#include "util/path.h"

static const struct {
    const char *extension;
    MediaKind kind;
} media_kinds[] = {
    {"jpg", MEDIA_KIND_PHOTO}, {"jpeg", MEDIA_KIND_PHOTO}, {"png", MEDIA_KIND_PHOTO},
    {"mp4", MEDIA_KIND_VIDEO}, {"mov", MEDIA_KIND_VIDEO},  {"webm", MEDIA_KIND_VIDEO},
    {"m4v", MEDIA_KIND_VIDEO},
};

/*
 * media_kind_of() - photo, video or neither, by the extension
 * @name: a file name or a path
 *
 * A hidden file without another dot (".jpg") has no extension, as for Python's os.path.splitext().
 */
MediaKind media_kind_of(const char *name)
{
    const char *extension = path_extension(name);

    for (size_t i = 0; i < sizeof(media_kinds) / sizeof(media_kinds[0]); i++)
        if (strcasecmp(extension, media_kinds[i].extension) == 0)
            return media_kinds[i].kind;
    return MEDIA_KIND_NONE;
}
