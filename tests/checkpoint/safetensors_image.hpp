// Safetensors files taken apart and put together again by the tests' own code, whole or damaged.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

struct RawTensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

RawTensors read_safetensors(const std::filesystem::path& path);
void write_safetensors(const std::filesystem::path& path, const RawTensors& tensors);

// Any header before any data, its length as given.
void write_safetensors(const std::filesystem::path& path, std::string_view header, std::string_view data,
                       std::uint64_t header_length);
void write_safetensors(const std::filesystem::path& path, std::string_view header, std::string_view data);

// All files of a folder together.
RawTensors read_model(const std::filesystem::path& folder);

}  // namespace sluice::test
