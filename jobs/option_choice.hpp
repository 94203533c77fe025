// An option whose value is one of a few words. Heavy: for .cpp files.
#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <string>

namespace sluice {

template <class T>
CLI::Option* choice(CLI::App& app, const std::string& name, T& value, const std::map<std::string, T>& names,
                    const std::string& help) {
    return app
        .add_option_function<std::string>(
            name, [&value, names](const std::string& word) { value = names.at(word); }, help)
        ->check(CLI::IsMember(names).description(""));
}

}  // namespace sluice
