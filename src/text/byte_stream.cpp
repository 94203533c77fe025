#include "text/byte_stream.hpp"

#include "core/error.hpp"
#include "text/unpacker.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

class DescriptorStream final : public ByteStream {
public:
    DescriptorStream(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

    std::size_t read(std::span<char> out) override {
        ssize_t count = 0;
        do {
            count = ::read(fd_, out.data(), out.size());
        } while (count < 0 && errno == EINTR);
        require(count >= 0, ExitCode::File, "cannot read {}: {}", name_, std::strerror(errno));
        return static_cast<std::size_t>(count);
    }

    bool ready(int milliseconds) override {
        pollfd input{fd_, POLLIN, 0};
        return ::poll(&input, 1, milliseconds) != 0 && input.revents != 0;
    }

private:
    int fd_;
    std::string name_;
};

// Looks at the first bytes, and unpacks what follows accordingly.
class UnpackedStream final : public ByteStream {
public:
    UnpackedStream(int fd, const std::string& name)
        : input_(fd, name), name_(name), packed_(kBufferBytes), unpacked_(kBufferBytes) {}

    std::size_t read(std::span<char> out) override {
        while (!found()) advance();
        const std::size_t count = std::min(out.size(), unread_.size());
        std::copy_n(unread_.data(), count, out.data());
        unread_.remove_prefix(count);
        return count;
    }

    bool ready(int milliseconds) override {
        // Packed bytes may come to nothing for ever.
        for (int steps = 0; steps < kSteps && !found(); ++steps, advance()) {
            if (!wants_input_) continue;
            if (!input_.ready(milliseconds)) return false;
            milliseconds = 0;
        }
        return found();
    }

private:
    static constexpr int kSteps = 64;

    bool found() const { return !unread_.empty() || ended_; }

    // A step towards the next bytes. Reads, and so may wait, only if `wants_input_`.
    void advance() {
        if (wants_input_) read_on();
        if (unpacker_ == nullptr && !recognise()) return;
        unread_ = unpacker_->unpack(in_, unpacked_);
        // Output that fills its buffer may be only a part of what the input comes to.
        wants_input_ = in_.empty() && unread_.size() < unpacked_.size();
        ended_ = input_ended_ && wants_input_ && unread_.empty();
        if (ended_) unpacker_->finish();
    }

    void read_on() {
        if (input_ended_) return;
        std::copy_n(in_.data(), in_.size(), packed_.data());  // the first bytes, if they were too few
        const std::size_t count = input_.read(std::span(packed_).subspan(in_.size()));
        in_ = {packed_.data(), in_.size() + count};
        input_ended_ = count == 0;
    }

    bool recognise() {
        const auto packing = recognise_packing(in_);
        if (!packing && !input_ended_) return false;
        unpacker_ = make_unpacker(packing.value_or(Packing::None), name_);
        return true;
    }

    DescriptorStream input_;
    std::string name_;
    std::vector<char> packed_;
    std::string_view in_;  // what was read and not unpacked yet, in packed_
    bool wants_input_ = true;
    bool input_ended_ = false;
    std::unique_ptr<Unpacker> unpacker_;  // once the first bytes are known
    std::vector<char> unpacked_;
    std::string_view unread_;  // what was unpacked and not given out yet
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> bytes_of(int fd, std::string name) {
    return std::make_unique<DescriptorStream>(fd, std::move(name));
}

std::unique_ptr<ByteStream> unpacked_bytes_of(int fd, std::string name) {
    return std::make_unique<UnpackedStream>(fd, std::move(name));
}

}  // namespace sluice
