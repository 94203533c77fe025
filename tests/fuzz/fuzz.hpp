// What the fuzzers share: which ends of a parser are good ones, and how a broken promise becomes a finding.
#pragma once

#include "core/error.hpp"

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace sluice::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Ends the fuzzer with a finding unless `kept`.
template <class... Args>
void promise(bool kept, fmt::format_string<Args...> format, Args&&... args) {
    if (kept) return;
    fmt::print(stderr, "BROKEN PROMISE: {}\n", fmt::format(format, std::forward<Args>(args)...));
    std::abort();
}

// Whether `work` ran through. An Error with `refusal` is a good end too; every other exception leaves, which
// is a finding.
template <class Work>
bool accepts(ExitCode refusal, Work work) {
    try {
        work();
        return true;
    } catch (const Error& error) {
        if (error.code() != refusal) throw;
        promise(!std::string_view(error.what()).empty(), "a refusal without a message");
        return false;
    }
}

}  // namespace sluice::fuzz
