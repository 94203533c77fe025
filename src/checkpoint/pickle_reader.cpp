#include "checkpoint/pickle_reader.hpp"

namespace sluice {
namespace {

constexpr std::uint8_t kProto = 0x80;
constexpr int kProtocol = 4;
constexpr std::string_view kLfsPointer = "version https://git-lfs";

}  // namespace

PickleReader::PickleReader(std::span<const std::byte> file, std::string where)
    : file_(file), where_(std::move(where)) {
    check_start();
}

void PickleReader::check_start() {
    require(!file_.empty(), ExitCode::Checkpoint, "{}: the file is empty; download it again", where_);
    const std::string_view start(reinterpret_cast<const char*>(file_.data()), file_.size());
    require(!start.starts_with(kLfsPointer), ExitCode::Checkpoint,
            "{}: a git-LFS pointer stands where the tensor should be; fetch the files with 'git lfs pull'",
            where_);
    const auto first = next_opcode();
    if (first != kProto) refuse("begins with 0x{:02x}, not with 0x80 as a pickle does", first);
    const auto protocol = number(1);
    if (protocol != kProtocol) {
        refuse("pickle protocol {}; the release's files have {}, the only one read: pickle the tensor again",
               protocol, kProtocol);
    }
}

std::uint8_t PickleReader::next_opcode() {
    if (frame_end_ == at_) frame_end_.reset();
    opcode_at_ = at_;
    if (at_ == file_.size()) refuse("the file ends within the pickle: it is cut short; download it again");
    return static_cast<std::uint8_t>(number(1));
}

std::uint64_t PickleReader::number(std::size_t bytes) {
    std::uint64_t value = 0;
    const ByteRange range = this->bytes(bytes);
    for (std::size_t at = range.end; at-- > range.begin;)
        value = value << 8 | static_cast<std::uint8_t>(file_[at]);
    return value;
}

ByteRange PickleReader::bytes(std::uint64_t count) {
    const std::size_t left = file_.size() - at_;
    if (count > left)
        refuse("{} bytes should follow, but the file has {} more: it is cut short; download it again", count,
               left);
    if (frame_end_ && count > *frame_end_ - at_)
        refuse("{} bytes should follow, but the frame ends after {}", count, *frame_end_ - at_);
    const std::size_t begin = at_;
    at_ += count;
    return {begin, at_};
}

std::string_view PickleReader::text(ByteRange range) const {
    return {reinterpret_cast<const char*>(file_.data()) + range.begin, range.end - range.begin};
}

void PickleReader::begin_frame(std::uint64_t bytes) {
    if (frame_end_) refuse("a frame begins within a frame");
    const std::size_t left = file_.size() - at_;
    if (bytes > left)
        refuse("a frame of {} bytes, but the file has {} more: it is cut short; download it again", bytes,
               left);
    frame_end_ = at_ + bytes;
}

void PickleReader::finish() const {
    // A frame ends within the file and is not read beyond: at the file's end, it has ended too.
    if (at_ != file_.size())
        refuse("the pickle ends here, but {} bytes follow: the file is damaged", file_.size() - at_);
}

}  // namespace sluice
