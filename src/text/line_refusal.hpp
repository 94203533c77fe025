// How the readers of a line refuse it. Never leaves request_json.cpp, which makes it an error record.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

namespace sluice {

struct LineRefusal {
    std::string code;  // of the list in text/README.md
    std::string what;
};

template <class... Args>
[[noreturn]] void refuse(const char* code, fmt::format_string<Args...> format, Args&&... args) {
    throw LineRefusal{code, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace sluice
