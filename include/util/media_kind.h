#pragma once
/* What a file name says about its content (PictoPy's lists of extensions). */

typedef enum MediaKind {
    MEDIA_KIND_NONE,
    MEDIA_KIND_PHOTO, /* .jpg .jpeg .png, any letter case */
    MEDIA_KIND_VIDEO, /* .mp4 .mov .webm .m4v */
} MediaKind;

MediaKind media_kind_of(const char *name);
