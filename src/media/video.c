/*
 * Size, length and frame rate of a video, with libavformat.
 *
 * Only the containers that PictoPy lists are let in (MP4, QuickTime, WebM and their relatives), and
 * bytes come from one descriptor: the library can open nothing by itself. The numbers are those
 * that OpenCV reports, which PictoPy asks: the frame rate is av_guess_frame_rate()'s, the duration
 * is frames divided by it, and width and height are exchanged for a video that is shown on its
 * side.
 */

#include "media/video.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/mem.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define BUFFER_SIZE  65536
#define PROBE_SIZE   (INT64_C(5) << 20) /* bytes read to find out about the streams */
#define ANALYZE_TIME (INT64_C(5) * AV_TIME_BASE)
#define STREAMS_MAX  64
#define FORMATS      "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
#define SIDE_MAX     65536
#define FPS_MAX      1e6
#define SECONDS_MAX  1e9
#define FPS_EPSILON  0.000025 /* OpenCV's idea of zero */

typedef struct VideoInput {
    const ByteSource *source;
    int64_t offset;
    AVIOContext *io;
    AVFormatContext *format;
} VideoInput;

/* video_init() - the libraries would write to standard error, the daemon's journal. */
void video_init(void)
{
    av_log_set_level(AV_LOG_QUIET);
}

static int input_read(void *opaque, uint8_t *buffer, int size)
{
    VideoInput *input = opaque;
    ssize_t n = byte_source_read(input->source, (uint64_t)input->offset, buffer, (size_t)size);

    if (n < 0)
        return AVERROR((int)-n);
    if (n == 0)
        return AVERROR_EOF;
    input->offset += n;
    return (int)n;
}

static int64_t input_seek(void *opaque, int64_t offset, int whence)
{
    VideoInput *input = opaque;
    int64_t size = (int64_t)input->source->size;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        offset += input->offset;
        break;
    case SEEK_END:
        offset += size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (offset < 0)
        return AVERROR(EINVAL);
    input->offset = offset;
    return offset;
}

/* A container may name other files: none is opened. */
static int refuse_open(AVFormatContext *format UNUSED, AVIOContext **io UNUSED,
                       const char *url UNUSED, int flags UNUSED, AVDictionary **options UNUSED)
{
    return AVERROR(EPERM);
}

static bool open_format(VideoInput *input)
{
    AVFormatContext *format = avformat_alloc_context();

    if (!format)
        return false;
    format->pb = input->io;
    format->flags |= AVFMT_FLAG_CUSTOM_IO;
    format->io_open = refuse_open;
    format->probesize = PROBE_SIZE;
    format->max_analyze_duration = ANALYZE_TIME;
    format->max_streams = STREAMS_MAX;
    format->format_whitelist = av_strdup(FORMATS);
    format->protocol_whitelist = av_strdup("");
    /* frees format when it fails */
    if (avformat_open_input(&format, NULL, NULL, NULL) < 0)
        return false;
    input->format = format;
    return avformat_find_stream_info(format, NULL) >= 0;
}

static bool open_input(VideoInput *input)
{
    uint8_t *buffer = av_malloc(BUFFER_SIZE);

    if (!buffer)
        return false;
    input->io = avio_alloc_context(buffer, BUFFER_SIZE, 0, input, input_read, NULL, input_seek);
    if (!input->io) {
        av_free(buffer);
        return false;
    }
    return open_format(input);
}

static void close_input(VideoInput *input)
{
    avformat_close_input(&input->format);
    if (input->io)
        av_freep(&input->io->buffer); /* not necessarily the one it was made with */
    avio_context_free(&input->io);
}

/* As Python's round(value, 3): of the exact binary value, so by way of its decimal digits. */
static double round3(double value)
{
    char digits[64];

    (void)snprintf(digits, sizeof(digits), "%.3f", value);
    return strtod(digits, NULL);
}

/* Shown turned by 90 or 270 degrees? */
static bool is_on_its_side(const AVStream *stream)
{
    size_t size;
    const uint8_t *side = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    int32_t matrix[9];
    double angle;

    if (!side || size < sizeof(matrix))
        return false;
    memcpy(matrix, side, sizeof(matrix));
    angle = av_display_rotation_get(matrix);
    return !isnan(angle) && ((int)lround(angle) % 180 + 180) % 180 == 90;
}

static void read_size(const AVStream *stream, VideoFacts *facts)
{
    int width = stream->codecpar->width;
    int height = stream->codecpar->height;
    bool turned = is_on_its_side(stream);

    if (width <= 0 || height <= 0 || width > SIDE_MAX || height > SIDE_MAX)
        return;
    facts->width = (uint32_t)(turned ? height : width);
    facts->height = (uint32_t)(turned ? width : height);
}

static double frame_rate(AVFormatContext *format, AVStream *stream)
{
    AVRational rate = av_guess_frame_rate(format, stream, NULL);
    double fps = rate.den ? av_q2d(rate) : 0;

    if (fps < FPS_EPSILON)
        fps = stream->avg_frame_rate.den ? av_q2d(stream->avg_frame_rate) : 0;
    if (fps < FPS_EPSILON && stream->time_base.num)
        fps = (double)stream->time_base.den / stream->time_base.num;
    return isfinite(fps) && fps < FPS_MAX ? fps : 0;
}

static double seconds(const AVFormatContext *format, const AVStream *stream)
{
    double duration = 0;

    if (format->duration != AV_NOPTS_VALUE)
        duration = (double)format->duration / AV_TIME_BASE;
    if (duration < FPS_EPSILON && stream->duration != AV_NOPTS_VALUE && stream->time_base.den)
        duration = (double)stream->duration * av_q2d(stream->time_base);
    return isfinite(duration) && duration > 0 && duration < SECONDS_MAX ? duration : 0;
}

static void read_times(AVFormatContext *format, AVStream *stream, VideoFacts *facts)
{
    double fps = frame_rate(format, stream);
    double frames;

    if (fps < FPS_EPSILON)
        return;
    facts->fps = round3(fps);
    frames = stream->nb_frames > 0 ? (double)stream->nb_frames
                                   : floor(seconds(format, stream) * fps + 0.5);
    if (frames > 0 && frames / fps < SECONDS_MAX)
        facts->duration = round3(frames / fps);
}

/* video_facts_read() - see the header; files that libavformat cannot read stay unknown. */
void video_facts_read(const ByteSource *source, VideoFacts *ret_facts)
{
    VideoInput input = {.source = source};

    *ret_facts = (VideoFacts){.duration = -1, .fps = -1};
    if (open_input(&input)) {
        int i = av_find_best_stream(input.format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);

        if (i >= 0) {
            read_size(input.format->streams[i], ret_facts);
            read_times(input.format, input.format->streams[i], ret_facts);
        }
    }
    close_input(&input);
}
