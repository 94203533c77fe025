#include "checkpoint/safetensors_writer.hpp"

#include "checkpoint/safetensors.hpp"
#include "checkpoint/staging.hpp"
#include "core/json.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
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

// A file that values are written to, opened for as long as some are missing.
class OutputFile {
public:
    OutputFile(std::filesystem::path path, std::uint64_t tensor_bytes)
        : path_(std::move(path)), missing_(tensor_bytes) {}
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    const std::filesystem::path& path() const { return path_; }
    std::uint64_t missing() const { return missing_; }

    void create(std::string_view header) {
        open(O_CREAT | O_EXCL);
        put(0, {reinterpret_cast<const std::byte*>(header.data()), header.size()});
        close();
    }

    void write(std::uint64_t at, std::span<const std::byte> bytes) {
        {
            const std::lock_guard lock(mutex_);
            if (descriptor_ < 0) open(0);
        }
        put(at, bytes);
        const std::lock_guard lock(mutex_);
        expect(missing_ >= bytes.size(), "{}: more bytes than were planned", path_.string());
        missing_ -= bytes.size();
        if (missing_ == 0) close();
    }

private:
    void open(int flags) {
        descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
        check(descriptor_ >= 0);
    }
    void put(std::uint64_t at, std::span<const std::byte> bytes) const {
        while (!bytes.empty()) {
            const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(at));
            if (written < 0 && errno == EINTR) continue;
            check(written > 0);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
            at += static_cast<std::uint64_t>(written);
        }
    }
    void close() { check(::close(std::exchange(descriptor_, -1)) == 0); }
    void check(bool ok) const {
        require(ok, ExitCode::File, "cannot write {}: {}", path_.string(), std::strerror(errno));
    }

    std::filesystem::path path_;
    std::mutex mutex_;
    int descriptor_ = -1;
    std::uint64_t missing_;
};

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

class SafetensorsWriter::Impl {
public:
    Impl(const std::filesystem::path& target, SafetensorsPlan plan)
        : folder_(target), plan_(std::move(plan)) {
        const auto runs = runs_of(plan_);
        places_.resize(plan_.tensors.size());
        std::vector<std::string> headers;
        std::uint64_t bytes = tensor_bytes(plan_);
        for (std::size_t file = 0; file < runs.size(); ++file) {
            headers.push_back(lay_out(file, runs[file].first, runs[file].second));
            bytes += headers.back().size();
            files_.push_back(
                std::make_unique<OutputFile>(folder_.path() / file_name(file, runs.size()),
                                             bytes_between(runs[file].first, runs[file].second)));
        }
        if (runs.size() > 1) plan_.text_files[kIndex] = index();
        for (const auto& [name, text] : plan_.text_files) bytes += text.size();
        folder_.require_space(bytes);
        for (std::size_t file = 0; file < runs.size(); ++file) files_[file]->create(headers[file]);
        for (const auto& [name, text] : plan_.text_files) OutputFile(folder_.path() / name, 0).create(text);
    }

    std::size_t files() const { return files_.size(); }

    void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
        const SafetensorsTensor& planned = plan_.tensors.at(tensor);
        expect(offset + bytes.size() <= planned.bytes(), "{}: bytes {} to {} of {}", planned.name, offset,
               offset + bytes.size(), planned.bytes());
        if (bytes.empty()) return;
        files_[places_[tensor].file]->write(places_[tensor].begin + offset, bytes);
    }

    void finish() {
        for (const auto& file : files_)
            expect(file->missing() == 0, "{}: {} bytes were never written", file->path().string(),
                   file->missing());
        folder_.commit();
    }

private:
    struct TensorPlace {
        std::size_t file = 0;
        std::uint64_t begin = 0;  // in the file
    };

    std::uint64_t bytes_between(std::size_t first, std::size_t end) const {
        std::uint64_t bytes = 0;
        for (std::size_t i = first; i < end; ++i) bytes += plan_.tensors[i].bytes();
        return bytes;
    }

    // Gives the tensors their places and returns the header: its length in 8 bytes, little-endian, then JSON.
    // Readers that map the file want elements aligned, so the wide types come first.
    std::string lay_out(std::size_t file, std::size_t first, std::size_t end) {
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
        return bytes + text;
    }

    std::string index() const {
        Json map = Json::object();
        for (std::size_t i = 0; i < plan_.tensors.size(); ++i)
            map[plan_.tensors[i].name] = file_name(places_[i].file, files_.size());
        expect(map.size() == plan_.tensors.size(), "two tensors of one name");
        return Json{{"metadata", {{"total_size", tensor_bytes(plan_)}}}, {"weight_map", std::move(map)}}.dump(
                   2) +
               "\n";
    }

    StagedFolder folder_;
    SafetensorsPlan plan_;
    std::vector<TensorPlace> places_;  // of each tensor
    std::vector<std::unique_ptr<OutputFile>> files_;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& target, SafetensorsPlan plan)
    : impl_(std::make_unique<Impl>(target, std::move(plan))) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

std::size_t SafetensorsWriter::files() const { return impl_->files(); }

void SafetensorsWriter::write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
    impl_->write(tensor, offset, bytes);
}

void SafetensorsWriter::finish() { impl_->finish(); }

}  // namespace sluice
