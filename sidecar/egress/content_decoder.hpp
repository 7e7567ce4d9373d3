// Content codings are read by the DLP engine, which meets compressed data inside bodies as well.
#pragma once

#include "sidecar/dlp/content_decoder.hpp"

namespace bot_bottle::egress {

using dlp::Coding;
using dlp::ContentDecoder;
using dlp::parse_coding;
using dlp::sniff_coding;

}  // namespace bot_bottle::egress
