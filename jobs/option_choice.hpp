// An option whose value is one of a few words. Heavy: for .cpp files.
#pragma once

#include "core/dtype.hpp"

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

inline CLI::Option* add_kv_dtype(CLI::App& app, DType& value) {
    return choice(
        app, "--kv-dtype", value, {{"bf16", DType::BF16}, {"f32", DType::F32}, {"fp8", DType::F8E4M3}},
        "Elements of the KV cache: bf16, f32 or fp8 (e4m3, half the memory of bf16); changes results "
        "[bf16]");
}

}  // namespace sluice
