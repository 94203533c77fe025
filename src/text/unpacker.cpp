#include "text/unpacker.hpp"

#include "core/error.hpp"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <new>
#include <utility>

namespace sluice {
namespace {

// As the zstd program without --long: a frame that needs more is refused, before memory is taken for it.
constexpr int kZstdWindowLog = 27;

constexpr std::string_view kGzipMagic = "\x1F\x8B";
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";
constexpr std::string_view kSkippableMagic = "\x50\x2A\x4D\x18";  // its first byte may be 0x50 to 0x5F

class Verbatim final : public Unpacker {
public:
    std::string_view unpack(std::string_view& in, std::span<char>) override { return std::exchange(in, {}); }
    void finish() override {}
};

[[noreturn]] void fail_damaged(const std::string& name, std::string_view packing, std::string_view reason) {
    fail(ExitCode::File, "{} is packed with {} and damaged: {}. Make it again", name, packing, reason);
}

[[noreturn]] void fail_short(const std::string& name, std::string_view packing) {
    fail(ExitCode::File, "{} is packed with {} and ends too early: it was cut short. Make it again", name,
         packing);
}

class GzipUnpacker final : public Unpacker {
public:
    explicit GzipUnpacker(std::string name) : name_(std::move(name)) {
        constexpr int kGzipOnly = 16;
        if (::inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
    }
    GzipUnpacker(const GzipUnpacker&) = delete;
    GzipUnpacker& operator=(const GzipUnpacker&) = delete;
    ~GzipUnpacker() override { ::inflateEnd(&stream_); }

    std::string_view unpack(std::string_view& in, std::span<char> out) override {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
        stream_.avail_in = static_cast<uInt>(in.size());
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        int result = Z_OK;
        while (result == Z_OK && stream_.avail_out > 0 && (stream_.avail_in > 0 || within_member_)) {
            if (padded_ || (!within_member_ && *stream_.next_in == 0)) {
                skip_padding();
                continue;
            }
            within_member_ = true;
            result = ::inflate(&stream_, Z_NO_FLUSH);
            if (result != Z_STREAM_END) continue;
            within_member_ = false;
            result = ::inflateReset(&stream_);
        }
        if (result == Z_MEM_ERROR) throw std::bad_alloc();
        // Z_BUF_ERROR: more input is needed.
        if (result != Z_OK && result != Z_BUF_ERROR)
            fail_damaged(name_, "gzip", stream_.msg != nullptr ? stream_.msg : ::zError(result));
        in.remove_prefix(in.size() - stream_.avail_in);
        return {out.data(), out.size() - stream_.avail_out};
    }

    void finish() override {
        if (within_member_) fail_short(name_, "gzip");
    }

private:
    // Tapes and copies by blocks fill up the last block with zeros. No member begins with one.
    void skip_padding() {
        padded_ = true;
        for (; stream_.avail_in > 0; ++stream_.next_in, --stream_.avail_in) {
            if (*stream_.next_in != 0) fail_damaged(name_, "gzip", "something follows the zeros at its end");
        }
    }

    std::string name_;
    z_stream stream_{};
    bool within_member_ = false;
    bool padded_ = false;  // only zeros may come
};

class ZstdUnpacker final : public Unpacker {
public:
    explicit ZstdUnpacker(std::string name) : name_(std::move(name)), context_(::ZSTD_createDCtx()) {
        if (context_ == nullptr) throw std::bad_alloc();
        ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
    }

    std::string_view unpack(std::string_view& in, std::span<char> out) override {
        ZSTD_inBuffer input{in.data(), in.size(), 0};
        ZSTD_outBuffer output{out.data(), out.size(), 0};
        while (output.pos < output.size && (input.pos < input.size || within_frame_)) {
            const std::size_t before = input.pos + output.pos;
            const std::size_t result = ::ZSTD_decompressStream(context_.get(), &output, &input);
            if (::ZSTD_isError(result)) fail_unpacking(result);
            within_frame_ = result != 0;
            if (input.pos + output.pos == before) break;  // more input is needed
        }
        in.remove_prefix(input.pos);
        return {out.data(), output.pos};
    }

    void finish() override {
        if (within_frame_) fail_short(name_, "zstd");
    }

private:
    [[noreturn]] void fail_unpacking(std::size_t result) const {
        const ZSTD_ErrorCode problem = ::ZSTD_getErrorCode(result);
        if (problem == ZSTD_error_memory_allocation) throw std::bad_alloc();
        require(problem != ZSTD_error_frameParameter_windowTooLarge, ExitCode::File,
                "{} is packed with zstd and needs a window of more than {} MiB to unpack: pack it again with "
                "--long=27 or less",
                name_, (1 << kZstdWindowLog) >> 20);
        fail_damaged(name_, "zstd", ::ZSTD_getErrorName(result));
    }

    struct Free {
        void operator()(ZSTD_DCtx* context) const { ::ZSTD_freeDCtx(context); }
    };
    std::string name_;
    std::unique_ptr<ZSTD_DCtx, Free> context_;
    bool within_frame_ = false;
};

}  // namespace

std::optional<Packing> recognise_packing(std::string_view head) {
    std::string skippable(head.substr(0, kSkippableMagic.size()));
    if (!head.empty() && (head[0] & 0xF0) == 0x50) skippable[0] = kSkippableMagic[0];
    bool undecided = false;
    const auto begins = [&](std::string_view bytes, std::string_view magic) {
        undecided = undecided || (bytes.size() < magic.size() && magic.starts_with(bytes));
        return bytes.starts_with(magic);
    };
    if (begins(head, kGzipMagic)) return Packing::Gzip;
    if (begins(head, kZstdMagic) || begins(skippable, kSkippableMagic)) return Packing::Zstd;
    return undecided ? std::nullopt : std::optional(Packing::None);
}

std::unique_ptr<Unpacker> make_unpacker(Packing packing, std::string name) {
    switch (packing) {
        case Packing::Gzip: return std::make_unique<GzipUnpacker>(std::move(name));
        case Packing::Zstd: return std::make_unique<ZstdUnpacker>(std::move(name));
        case Packing::None: break;
    }
    return std::make_unique<Verbatim>();
}

}  // namespace sluice
