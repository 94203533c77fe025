// What stands where in a checkpoint folder in Hugging Face's layout: safetensors files of bounded size, their
// index, and the text files beside them.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <cstdint>
#include <map>
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

// The files are model.safetensors, or model-00001-of-00003.safetensors and so on with an index, and hold the
// tensors in the plan's order.
class SafetensorsLayout {
public:
    struct Place {
        std::size_t file = 0;
        std::uint64_t begin = 0;  // in the file
    };

    // ExitCode::Usage when a file's header would be longer than the format allows.
    explicit SafetensorsLayout(SafetensorsPlan plan);

    const SafetensorsPlan& plan() const { return plan_; }  // its text files with the index
    const std::vector<std::string>& files() const { return files_; }
    // All before the first value.
    const std::string& header(std::size_t file) const { return headers_[file]; }
    std::uint64_t file_bytes(std::size_t file) const { return headers_[file].size() + value_bytes_[file]; }
    Place place(std::size_t tensor) const { return places_.at(tensor); }
    std::uint64_t bytes() const;  // of all files

private:
    void lay_out(std::size_t file, std::size_t first, std::size_t end);
    std::string index() const;

    SafetensorsPlan plan_;
    std::vector<Place> places_;  // of each tensor
    std::vector<std::string> files_, headers_;
    std::vector<std::uint64_t> value_bytes_;
};

}  // namespace sluice
