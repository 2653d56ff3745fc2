#pragma once
/* An answer in the making: status, headers, body. */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "util/cleanup.h"
#include "util/text.h"

typedef struct HttpResponse {
    int status; /* 0 until something was answered */
    const char *content_type;
    Text headers; /* "Name: value\r\n" lines beside those that every answer has */
    char *body;
    size_t body_length;
} HttpResponse;

void http_response_header(HttpResponse *response, const char *name, const char *format, ...)
    FORMAT_PRINTF(3, 4);
/* Takes over body; type is borrowed. */
void http_response_body(HttpResponse *response, int status, const char *type, char *body);
/* Takes over body, a JSON text. */
void http_response_text(HttpResponse *response, int status, char *body);
/* Takes over the reference; NULL (memory ran out) becomes a 500. */
void http_response_json(HttpResponse *response, int status, json_t *body);
/* {"detail": …} */
void http_response_detail(HttpResponse *response, int status, const char *format, ...)
    FORMAT_PRINTF(3, 4);
/* The whole message, ready to be sent. */
void http_response_print(const HttpResponse *response, bool head_only, bool keep_alive, Text *out);
void http_response_done(HttpResponse *response);
const char *http_status_reason(int status);
