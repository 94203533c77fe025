#include "engine/last_encoding.hpp"

#include <string>
#include <utility>

namespace sluice {

static bool operator==(const Message& a, const Message& b) {
    return a.role == b.role && a.content == b.content;
}

const Encoded& LastEncoding::of(const RequestEncoder& encoder, Request& request) {
    if (!encoded_ || request.input != input_) {
        encoded_ = encoder.encode(request);
        input_ = std::move(request.input);
    }
    request.input = std::string();
    return *encoded_;
}

}  // namespace sluice
