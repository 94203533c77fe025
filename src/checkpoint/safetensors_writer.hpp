// Writes a checkpoint folder in Hugging Face's layout: safetensors files of bounded size, their index, and
// the text files beside them.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice {

struct SafetensorsTensor {
    std::string name;
    DType dtype = DType::BF16;
    Shape shape;
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(shape.elements()) * size_of(dtype); }
};

struct SafetensorsPlan {
    std::vector<SafetensorsTensor> tensors;
    std::map<std::string, std::string> text_files;  // file name -> content, config.json among them
    // Files stay within this many bytes of tensors, but for a single tensor that is larger.
    std::uint64_t file_bytes = std::uint64_t{4} << 30;
};

// All tensors' bytes.
std::uint64_t tensor_bytes(const SafetensorsPlan& plan);

// The target appears, whole, with finish(); without it nothing is left.
class SafetensorsWriter {
public:
    // Writes every file's header: model.safetensors, or model-00001-of-00003.safetensors and so on, which
    // hold the tensors in the plan's order. ExitCode::File for a target that exists or cannot be written, or
    // a disk without room for all of it.
    SafetensorsWriter(const std::filesystem::path& target, SafetensorsPlan plan);
    SafetensorsWriter(SafetensorsWriter&&) noexcept;
    ~SafetensorsWriter();

    std::size_t files() const;

    // These bytes of the plan's tensor number `tensor`, from its byte `offset` on: every byte once, in pieces
    // of any size, in any order (in the plan's, few files are open at a time), from several threads at once.
    // ExitCode::File when they cannot be written.
    void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes);

    // ExitCode::Internal when bytes are missing.
    void finish();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
