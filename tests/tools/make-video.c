/*
 * make-video FILE WIDTH HEIGHT RATE SECONDS [CREATION-TIME] - makes a video for tests, in the
 * container that the name of the file tells, coded as MPEG-4 part 2. RATE is frames a second, such
 * as 25 or 30000/1001; CREATION-TIME is ISO 8601, such as 2015-06-07T08:09:10Z.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/parseutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Maker {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
} Maker;

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    (void)fprintf(stderr, "make-video: %s: %s\n", what, av_err2str(result));
    exit(EXIT_FAILURE);
}

static void *check_memory(void *pointer)
{
    check(pointer ? 0 : AVERROR(ENOMEM), "memory");
    return pointer;
}

static void open_codec(Maker *maker, int width, int height, AVRational rate)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_MPEG4);

    check(encoder ? 0 : AVERROR_ENCODER_NOT_FOUND, "MPEG-4");
    maker->codec = check_memory(avcodec_alloc_context3(encoder));
    maker->codec->width = width;
    maker->codec->height = height;
    maker->codec->pix_fmt = AV_PIX_FMT_YUV420P;
    maker->codec->framerate = rate;
    maker->codec->time_base = av_inv_q(rate);
    if (maker->format->oformat->flags & AVFMT_GLOBALHEADER)
        maker->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    check(avcodec_open2(maker->codec, encoder, NULL), "codec");
    maker->frame = check_memory(av_frame_alloc());
    maker->frame->width = width;
    maker->frame->height = height;
    maker->frame->format = AV_PIX_FMT_YUV420P;
    check(av_frame_get_buffer(maker->frame, 0), "frame");
    maker->packet = check_memory(av_packet_alloc());
}

static void open_file(Maker *maker, const char *file, const char *created)
{
    maker->stream = check_memory(avformat_new_stream(maker->format, NULL));
    maker->stream->time_base = maker->codec->time_base;
    maker->stream->avg_frame_rate = maker->codec->framerate;
    check(avcodec_parameters_from_context(maker->stream->codecpar, maker->codec), "stream");
    if (created)
        check(av_dict_set(&maker->format->metadata, "creation_time", created, 0), created);
    check(avio_open(&maker->format->pb, file, AVIO_FLAG_WRITE), file);
    check(avformat_write_header(maker->format, NULL), file);
}

/* A gray that wanders, in planes of one value each. */
static void paint(AVFrame *frame, int64_t number)
{
    for (int plane = 0; plane < 3; plane++) {
        int height = plane == 0 ? frame->height : (frame->height + 1) / 2;

        for (int y = 0; y < height; y++)
            memset(frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane],
                   plane == 0 ? (int)(64 + (y + number * 3) % 128) : 128,
                   (size_t)frame->linesize[plane]);
    }
}

/* frame: NULL hands out what the encoder still holds. */
static void encode(Maker *maker, const AVFrame *frame)
{
    int r = avcodec_send_frame(maker->codec, frame);

    check(r, "encoder");
    while ((r = avcodec_receive_packet(maker->codec, maker->packet)) >= 0) {
        maker->packet->duration = 1;
        av_packet_rescale_ts(maker->packet, maker->codec->time_base, maker->stream->time_base);
        check(av_write_frame(maker->format, maker->packet), "writing");
        av_packet_unref(maker->packet);
    }
    check(r == AVERROR(EAGAIN) || r == AVERROR_EOF ? 0 : r, "encoder");
}

int main(int argc, char *argv[])
{
    Maker maker = {0};
    AVRational rate = {0, 1};
    int64_t frames;

    if (argc < 6 || argc > 7) {
        (void)fputs("Usage: make-video FILE WIDTH HEIGHT RATE SECONDS [CREATION-TIME]\n", stderr);
        return 2;
    }
    check(av_parse_video_rate(&rate, argv[4]), argv[4]);
    frames = (int64_t)(strtod(argv[5], NULL) * av_q2d(rate) + 0.5);
    check(avformat_alloc_output_context2(&maker.format, NULL, NULL, argv[1]), argv[1]);
    open_codec(&maker, atoi(argv[2]), atoi(argv[3]), rate);
    open_file(&maker, argv[1], argv[6]);
    for (int64_t i = 0; i < frames; i++) {
        check(av_frame_make_writable(maker.frame), "frame");
        paint(maker.frame, i);
        maker.frame->pts = i;
        encode(&maker, maker.frame);
    }
    encode(&maker, NULL);
    check(av_write_trailer(maker.format), argv[1]);
    check(avio_closep(&maker.format->pb), argv[1]);
    av_packet_free(&maker.packet);
    av_frame_free(&maker.frame);
    avcodec_free_context(&maker.codec);
    avformat_free_context(maker.format);
    return 0;
}
