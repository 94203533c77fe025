// Texts as the gzip and zstd programs pack them.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace sluice {

inline std::string gzip(std::string_view text) {
    constexpr int kGzip = 16;
    z_stream stream{};
    if (::deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error("deflateInit2");
    std::string packed(::deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    const int result = ::deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    if (result != Z_STREAM_END) throw std::runtime_error("deflate");
    return packed;
}

// `window_log` 0: as the level has it. The content's size is not written, as when packing a pipe.
inline std::string zstd(std::string_view text, int window_log = 0) {
    ZSTD_CCtx* context = ::ZSTD_createCCtx();
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    std::string packed(::ZSTD_compressBound(text.size()) + 64, '\0');
    ZSTD_outBuffer out{packed.data(), packed.size(), 0};
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    std::size_t left = ::ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
    while (!::ZSTD_isError(left)) {
        left = ::ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
        if (left == 0) break;
    }
    ::ZSTD_freeCCtx(context);
    if (::ZSTD_isError(left)) throw std::runtime_error(::ZSTD_getErrorName(left));
    packed.resize(out.pos);
    return packed;
}

}  // namespace sluice
