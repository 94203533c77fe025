#include "checkpoint/safetensors_layout.hpp"

#include "checkpoint/safetensors.hpp"
#include "core/error.hpp"
#include "core/json.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

std::string file_name(std::size_t file, std::size_t files) {
    return files == 1 ? "model.safetensors"
                      : fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, files);
}

// Plan-order runs of tensors, one a file.
std::vector<std::pair<std::size_t, std::size_t>> runs_of(const SafetensorsPlan& plan) {
    std::vector<std::pair<std::size_t, std::size_t>> runs;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
        const std::uint64_t more = plan.tensors[i].bytes();
        if (runs.empty() || (bytes > 0 && more > 0 && bytes + more > plan.file_bytes)) {
            runs.emplace_back(i, i);
            bytes = 0;
        }
        runs.back().second = i + 1;
        bytes += more;
    }
    return runs;
}

Json dims_of(const Shape& shape) {
    Json dims = Json::array();
    for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(shape[axis]);
    return dims;
}

}  // namespace

std::uint64_t tensor_bytes(const SafetensorsPlan& plan) {
    return std::accumulate(plan.tensors.begin(), plan.tensors.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const SafetensorsTensor& t) { return sum + t.bytes(); });
}

SafetensorsLayout::SafetensorsLayout(SafetensorsPlan plan)
    : plan_(std::move(plan)), places_(plan_.tensors.size()) {
    const auto runs = runs_of(plan_);
    for (std::size_t file = 0; file < runs.size(); ++file) {
        files_.push_back(file_name(file, runs.size()));
        lay_out(file, runs[file].first, runs[file].second);
    }
    if (runs.size() > 1) plan_.text_files[kIndex] = index();
}

std::uint64_t SafetensorsLayout::bytes() const {
    std::uint64_t bytes = 0;
    for (std::size_t file = 0; file < files_.size(); ++file) bytes += file_bytes(file);
    for (const auto& [name, text] : plan_.text_files) bytes += text.size();
    return bytes;
}

// Gives the tensors their places and makes the header: its length in 8 bytes, little-endian, then JSON.
// Readers that map the file want elements aligned, so the wide types come first.
void SafetensorsLayout::lay_out(std::size_t file, std::size_t first, std::size_t end) {
    std::vector<std::size_t> order(end - first);
    std::iota(order.begin(), order.end(), first);
    std::ranges::stable_sort(order, std::greater<>(),
                             [&](std::size_t i) { return size_of(plan_.tensors[i].dtype); });
    Json header = {{kSafetensorsMetadata, {{"format", "pt"}}}};
    std::uint64_t at = 0;
    for (const std::size_t i : order) {
        const SafetensorsTensor& tensor = plan_.tensors[i];
        places_[i] = {file, at};
        header[tensor.name] = {{"dtype", safetensors_name(tensor.dtype)},
                               {"shape", dims_of(tensor.shape)},
                               {"data_offsets", {at, at + tensor.bytes()}}};
        at += tensor.bytes();
    }
    value_bytes_.push_back(at);
    expect(header.size() == order.size() + 1, "two tensors of one name");
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const auto length = static_cast<std::uint64_t>(text.size());
    require(length <= kLongestSafetensorsHeader, ExitCode::Usage,
            "a file of {} tensors would have a header beyond the format's limit: make smaller files",
            order.size());
    for (const std::size_t i : order) places_[i].begin += sizeof length + length;
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    headers_.push_back(bytes + text);
}

std::string SafetensorsLayout::index() const {
    Json map = Json::object();
    for (std::size_t i = 0; i < plan_.tensors.size(); ++i)
        map[plan_.tensors[i].name] = files_[places_[i].file];
    expect(map.size() == plan_.tensors.size(), "two tensors of one name");
    return Json{{"metadata", {{"total_size", tensor_bytes(plan_)}}}, {"weight_map", std::move(map)}}.dump(2) +
           "\n";
}

}  // namespace sluice
