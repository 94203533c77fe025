#include "checkpoint/verify.hpp"

#include "checkpoint/compare_configs.hpp"
#include "checkpoint/dataset_check.hpp"
#include "checkpoint/in_parallel.hpp"
#include "checkpoint/layout.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

std::uint64_t bytes_of(const TensorSpec& spec, const ValueForm& form) {
    return whole_part(spec.full, form.block).bytes(form.dtype);
}

std::int64_t rows_per_read(const SourceTensor& tensor) {
    return rows_per_read(tensor.shape, tensor.form.dtype);
}

class Verifier {
public:
    Verifier(const std::filesystem::path& folder, const std::optional<std::filesystem::path>& against,
             int threads, const VerifyProgress& progress)
        : folder_(folder), own_(open_source(folder)), threads_(threads), progress_(progress) {
        if (against) other_ = open_source(*against);
        result_.checksums = own_->kind() == SourceKind::Sluice;
        result_.tensors = own_->tensors().size();
    }

    Verification run() {
        if (result_.checksums) check_datasets();
        if (other_) {
            check_config();
            match();
        }
        for (const TensorSpec& spec : own_->tensors()) total_ += bytes_to_read(spec);
        const std::size_t count = own_->tensors().size();
        std::vector<std::vector<Finding>> found(count);
        buffers_.resize(static_cast<std::size_t>(threads_));
        in_parallel(count, threads_, [&](std::size_t tensor, std::size_t thread) {
            const TensorSpec& spec = own_->tensors()[tensor];
            check(spec, buffers_[thread], found[tensor]);
            read(bytes_to_read(spec));
        });
        for (std::vector<Finding>& findings : found)
            std::ranges::move(findings, std::back_inserter(result_.findings));
        result_.bytes = total_;
        return std::move(result_);
    }

private:
    using Specs = std::unordered_map<std::string_view, const TensorSpec*>;
    struct Buffers {
        std::vector<std::byte> own, other;
    };

    void check_datasets() {
        result_.id = own_->fingerprint();
        const StoredContent content = stored_content(folder_, *own_);
        for (const std::string& name : content.unknown)
            result_.findings.push_back({Fault::Unknown, name, "is not part of the model"});
        if (content.id != result_.id)
            result_.findings.push_back({Fault::Id, folder_.string(),
                                        fmt::format("says that its id is {}, but that of its datasets is {}",
                                                    result_.id, content.id)});
    }

    void check_config() {
        const std::string difference = config_difference(own_->config(), other_->config());
        if (!difference.empty())
            result_.findings.push_back({Fault::Config, std::string(kConfigName), difference});
    }

    // Which tensors both have. Layers for multi-token prediction are told in one sentence.
    void match() {
        for (const TensorSpec& spec : other_->tensors()) others_.emplace(spec.name, &spec);
        Specs own;
        for (const TensorSpec& spec : own_->tensors()) own.emplace(spec.name, &spec);
        tell_missing(other_->tensors(), own, "the source");
        tell_missing(own_->tensors(), others_, "the checkpoint");
    }

    void tell_missing(const std::vector<TensorSpec>& here, const Specs& there, std::string_view where) {
        std::size_t prediction = 0;
        for (const TensorSpec& spec : here) {
            if (there.contains(spec.name)) continue;
            if (spec.name.starts_with("/mtp/")) {
                ++prediction;
            } else {
                result_.findings.push_back({Fault::Missing, spec.name, fmt::format("is only in {}", where)});
            }
        }
        if (prediction > 0)
            result_.findings.push_back(
                {Fault::Missing, "/mtp",
                 fmt::format("is only in {}: {} tensors of layers for multi-token prediction", where,
                             prediction)});
    }

    // The source's tensor of this name; none: null.
    const TensorSpec* counterpart(const TensorSpec& spec) const {
        const auto found = others_.find(spec.name);
        return found == others_.end() ? nullptr : found->second;
    }

    bool is_compared(const TensorSpec& spec) const {
        const TensorSpec* other = counterpart(spec);
        return other != nullptr && other->full == spec.full;
    }

    std::uint64_t bytes_to_read(const TensorSpec& spec) const {
        const bool compared = is_compared(spec);
        const std::uint64_t own = result_.checksums || compared ? bytes_of(spec, own_->form(spec)) : 0;
        return own + (compared ? bytes_of(spec, other_->form(*counterpart(spec))) : 0);
    }

    void read(std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        progress_(done_ += bytes, total_);
    }

    void check(const TensorSpec& spec, Buffers& buffers, std::vector<Finding>& findings) const try {
        const SourceTensor own = own_->tensor(spec);
        const TensorSpec* other = counterpart(spec);
        if (is_compared(spec)) return compare(spec.name, own, other_->tensor(*other), buffers, findings);
        if (other != nullptr)
            findings.push_back(
                {Fault::Shape, spec.name,
                 fmt::format("is {}, but {} in the source", spec.full.text(), other->full.text())});
        if (result_.checksums) read_through(own, buffers);
    } catch (const Error& error) {
        if (error.code() != ExitCode::Checkpoint) throw;
        findings.push_back({Fault::Damaged, spec.name, error.what()});
    }

    static std::byte* room(std::vector<std::byte>& buffer, const SourceTensor& tensor, std::int64_t rows) {
        const auto bytes = static_cast<std::size_t>(rows * tensor.cols()) * size_of(tensor.form.dtype);
        buffer.resize(std::max(buffer.size(), bytes));
        return buffer.data();
    }

    static void read_through(const SourceTensor& tensor, Buffers& buffers) {
        RowReader reader(tensor);
        const std::int64_t step = rows_per_read(tensor);
        for (std::int64_t row = 0; row < tensor.rows(); row += step) {
            const std::int64_t rows = std::min(step, tensor.rows() - row);
            reader.read(rows, room(buffers.own, tensor, rows));
        }
    }

    void compare(const std::string& name, const SourceTensor& own, const SourceTensor& other,
                 Buffers& buffers, std::vector<Finding>& findings) const {
        ValueComparison comparison(own, other, own_->config().quantization.power_of_two_scales);
        RowReader own_reader(own);
        RowReader other_reader(other);
        const std::int64_t step = std::min(rows_per_read(own), rows_per_read(other));
        for (std::int64_t row = 0; row < own.rows(); row += step) {
            const std::int64_t rows = std::min(step, own.rows() - row);
            std::byte* found = room(buffers.own, own, rows);
            std::byte* expected = room(buffers.other, other, rows);
            own_reader.read(rows, found);
            other_reader.read(rows, expected);
            comparison.compare(rows, found, expected);
        }
        const bool rounded = !comparison.equal_forms() && own.form.block != Block{};
        tell(Fault::Values, name, rounded ? "values are more than half a step off" : "values differ",
             own.shape.elements(), comparison.values(), findings);
        const auto scales = static_cast<std::int64_t>(own.scales.size());
        tell(Fault::Scales, name, "scales differ", scales, comparison.scales(), findings);
        tell(Fault::WastedRange, name, "blocks have a scale too coarse for their largest code", scales,
             comparison.wasted_ranges(), findings);
    }

    static void tell(Fault fault, const std::string& name, std::string_view what, std::int64_t all,
                     const Difference& difference, std::vector<Finding>& findings) {
        if (difference.count == 0) return;
        findings.push_back(
            {fault, name,
             fmt::format("{} of {} {}, the first at [{}, {}]: expected {}, found {}", difference.count, all,
                         what, difference.row, difference.col, difference.expected, difference.found),
             difference});
    }

    std::filesystem::path folder_;
    std::unique_ptr<CheckpointSource> own_, other_;
    int threads_;
    const VerifyProgress& progress_;
    Specs others_;
    Verification result_;
    std::vector<Buffers> buffers_;  // each thread's
    std::mutex mutex_;              // of the progress
    std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

std::string_view name_of(Fault fault) {
    switch (fault) {
        case Fault::Id: return "id";
        case Fault::Unknown: return "unknown";
        case Fault::Config: return "config";
        case Fault::Missing: return "missing";
        case Fault::Shape: return "shape";
        case Fault::Damaged: return "damaged";
        case Fault::Values: return "values";
        case Fault::Scales: return "scales";
        case Fault::WastedRange: return "wasted-range";
    }
    return "unknown";
}

Verification verify_checkpoint(const std::filesystem::path& folder,
                               const std::optional<std::filesystem::path>& against, int threads,
                               const VerifyProgress& progress) {
    return Verifier(folder, against, threads, progress).run();
}

}  // namespace sluice
