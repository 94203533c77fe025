#pragma once

#include <stdexcept>

namespace sluice {

// Why a chat template cannot write a conversation: its own raise_exception, or an operation on values that
// Python would refuse. Concerns one request, not the run.
class TemplateRefusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace sluice
