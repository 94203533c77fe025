#pragma once

#include <stdexcept>

namespace sluice {

// Why a chat template cannot write a conversation: its own raise_exception, an operation on values that
// Python would refuse or that this program does not know, or far too much work. Concerns one request, not the
// run.
class TemplateRefusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace sluice
