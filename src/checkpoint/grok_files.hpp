// The tensor files of Grok-1's release: ckpt-0/tensorNNNNN_HHH, for tensor NNNNN the part of host HHH.
#pragma once

#include "checkpoint/grok_pickle.hpp"
#include "checkpoint/input_file.hpp"

#include <filesystem>
#include <memory>
#include <vector>

namespace sluice {

// One file, parsed. Opening it reads the opcodes around the elements, not the elements.
class PickledTensorFile {
public:
    // ExitCode::Checkpoint as of parse_pickled_tensor.
    explicit PickledTensorFile(std::filesystem::path path);

    const std::filesystem::path& path() const { return file_.path(); }
    const PickledTensor& tensor() const { return tensor_; }

    const InputFile& file() const { return file_; }

private:
    InputFile file_;
    PickledTensor tensor_;
};

// All files of a folder. Which tensor has which index, and how the hosts' parts join, the files do not say.
class GrokFiles {
public:
    // `folder` holds ckpt-0 or is it. Indices and hosts must count from 0 without gaps, each index with the
    // same hosts, and the folder must hold no leftover of a download; ExitCode::Checkpoint otherwise.
    explicit GrokFiles(const std::filesystem::path& folder);

    std::size_t count() const { return files_.size() / static_cast<std::size_t>(hosts_); }
    int hosts() const { return hosts_; }

    // index < count(), 0 <= host < hosts().
    const PickledTensorFile& file(std::size_t index, int host) const;
    const PickledTensor& tensor(std::size_t index, int host) const { return file(index, host).tensor(); }

private:
    int hosts_ = 0;
    std::vector<std::unique_ptr<const PickledTensorFile>> files_;  // by index, then host
};

}  // namespace sluice
