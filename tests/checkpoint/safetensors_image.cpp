#include "checkpoint/safetensors_image.hpp"

#include "support/scratch_folder.hpp"

#include <cstring>

namespace sluice::test {

RawTensors read_safetensors(const std::filesystem::path& path) {
    const std::string content = content_of(path);
    std::uint64_t length = 0;
    std::memcpy(&length, content.data(), sizeof length);
    const auto header = nlohmann::json::parse(content.substr(8, length));
    RawTensors tensors;
    for (const auto& [name, entry] : header.items()) {
        if (name == "__metadata__") continue;
        const std::size_t begin = entry["data_offsets"][0];
        const std::size_t end = entry["data_offsets"][1];
        tensors[name] = {entry["dtype"], entry["shape"], content.substr(8 + length + begin, end - begin)};
    }
    return tensors;
}

void write_safetensors(const std::filesystem::path& path, const RawTensors& tensors) {
    nlohmann::json header = nlohmann::json::object();
    std::string data;
    for (const auto& [name, tensor] : tensors) {
        header[name] = {{"dtype", tensor.dtype},
                        {"shape", tensor.shape},
                        {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
        data += tensor.bytes;
    }
    write_safetensors(path, header.dump(), data);
}

void write_safetensors(const std::filesystem::path& path, std::string_view header, std::string_view data,
                       std::uint64_t header_length) {
    std::ofstream stream(path, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(&header_length), sizeof header_length);
    stream << header << data;
}

void write_safetensors(const std::filesystem::path& path, std::string_view header, std::string_view data) {
    write_safetensors(path, header, data, header.size());
}

RawTensors read_model(const std::filesystem::path& folder) {
    RawTensors all;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".safetensors") all.merge(read_safetensors(entry.path()));
    return all;
}

}  // namespace sluice::test
