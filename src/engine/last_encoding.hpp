// Encodes an input once where requests for it follow each other, as the completions of one line do.
#pragma once

#include "engine/request_encoder.hpp"

#include <optional>

namespace sluice {

class LastEncoding {
public:
    // As RequestEncoder::encode; valid until the next call. Takes the request's input.
    const Encoded& of(const RequestEncoder& encoder, Request& request);

private:
    decltype(Request::input) input_;
    std::optional<Encoded> encoded_;  // of the input; none: there was no request
};

}  // namespace sluice
