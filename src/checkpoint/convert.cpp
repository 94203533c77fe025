#include "checkpoint/convert.hpp"

#include "checkpoint/conversion_plan.hpp"
#include "checkpoint/in_parallel.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/output_file.hpp"
#include "checkpoint/output_files.hpp"
#include "checkpoint/staging.hpp"
#include "checkpoint/tensor_work.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

// Beside what is counted: buffers of files and libraries, fragments.
constexpr std::uint64_t kSpareMemory = 64 << 20;

// What this process holds in memory now; 0 where the system does not say.
std::uint64_t resident_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (std::uint64_t kib = 0; word == "VmRSS:" && status >> kib) return kib << 10;
    return 0;
}

int threads_within(const ConvertOptions& options, std::uint64_t each) {
    const std::uint64_t least = resident_bytes() + kSpareMemory + each;
    require(options.memory >= least, ExitCode::Usage,
            "--memory {}: {} are needed: {} for the lists of tensors and {} for the largest tensor's rows",
            bytes_text(options.memory), bytes_text(least), bytes_text(least - each), bytes_text(each));
    const std::uint64_t room = 1 + (options.memory - least) / std::max<std::uint64_t>(each, 1);
    return static_cast<int>(std::min<std::uint64_t>(room, static_cast<std::uint64_t>(options.threads)));
}

}  // namespace

class Conversion::Impl {
public:
    Impl(const std::filesystem::path& input, const std::filesystem::path& target,
         const ConvertOptions& options)
        : input_(input), target_(target), options_(options), source_(open_source(input)) {
        fingerprint_ = source_->fingerprint();
        plan_ = plan_conversion(*source_, input, options);
        threads_ = threads_within(options, work_bytes(plan_, *source_));
    }

    std::uint64_t prepare() {
        folder_.emplace(target_, Leftover::Continue);
        const bool goes_on = folder_->continued() && begun();
        if (!options_.holes) folder_->require_space(plan_.target->bytes());
        if (!goes_on) lay_out();
        open();
        std::uint64_t bytes = 0;
        for (const FinishedTensor& finished : read_journals(folder_->notes()))
            bytes += tensor_bytes(finished.tensor);
        return bytes;
    }

    void begin(int rank, int ranks, const std::string& run) {
        const StagingPaths paths = staging_paths(target_);
        require_this_conversion(paths.root);
        open();
        files_.emplace(paths.files, plan_.target->files());
        journal_.emplace(paths.root, rank);
        ranks_ = ranks;
        halt_note_ = paths.root / ("halt-" + run);
        share_ = this->share(rank, ranks);
        for (FinishedTensor& finished : read_journals(paths.root))
            noted_[finished.tensor] = std::move(finished);
    }

    void work(const ConvertProgress& progress) try {
        Advance advance{progress, ranks_ > 1 ? halt_note_ : std::filesystem::path()};
        for (const std::size_t tensor : share_) advance.total += tensor_bytes(tensor);
        std::vector<TensorWork> workers;
        for (int i = 0; i < threads_; ++i) workers.emplace_back(plan_, *source_, *files_);
        in_parallel(share_.size(), threads_, [&](std::size_t i, std::size_t thread) {
            if (advance.stopped) return;
            const auto found = noted_.find(share_[i]);
            finish(share_[i], found == noted_.end() ? nullptr : &found->second, workers[thread], advance);
        });
        require(source_->fingerprint() == fingerprint_, ExitCode::Checkpoint,
                "{} changed while it was read: start again", input_.string());
        require(advance.done == advance.total || advance.halted, ExitCode::Stopped,
                "stopped before {} was finished", target_.string());
    } catch (const std::exception&) {
        halt_others();
        throw;
    }

    void flush() {
        files_->sync();
        journal_->sync();
    }

    ConvertResult finish() {
        ConvertResult result;
        std::vector<std::vector<PartChecksums>> checksums(plan_.tensors.size());
        for (const FinishedTensor& finished : read_journals(folder_->notes(), ranks_)) {
            checksums.at(finished.tensor) = finished.parts;
            if (finished.error.squared_value > 0)
                result.quantized.push_back({plan_.tensors[finished.tensor].spec.name, finished.error});
        }
        for (std::size_t tensor = 0; tensor < checksums.size(); ++tensor) {
            require(!checksums[tensor].empty(), ExitCode::Stopped,
                    "{} is not finished: the same command goes on", plan_.tensors[tensor].spec.name);
            result.bytes += tensor_bytes(tensor);
        }
        result.id = plan_.target->seal(folder_->path(), checksums);
        result.slices = plan_.slices;
        result.files = static_cast<int>(plan_.target->files().size());
        result.tensors = plan_.tensors.size();
        result.tokenizer = plan_.tokenizer;
        folder_->commit();
        files_.reset();
        journal_.reset();
        folder_.reset();  // and with it the notes
        return result;
    }

    void stop(ExitCode why) {
        if (!folder_) return;
        const bool useless = why == ExitCode::Checkpoint && source_->kind() != SourceKind::Sluice;
        if (useless || !std::filesystem::exists(note())) {
            folder_->discard();
        } else if (journal_) {
            log_info("{} keeps what is done: the same command goes on with it", folder_->notes().string());
        }
    }

private:
    // How far the threads of a rank are together.
    struct Advance {
        const ConvertProgress& progress;
        std::filesystem::path halt_note;  // empty: there are no other ranks
        std::uint64_t total = 0, done = 0;
        std::atomic<bool> stopped = false;
        bool halted = false;  // for another rank did not go on, and will say why
        std::chrono::steady_clock::time_point looked{};
        std::mutex mutex{};

        void operator()(std::uint64_t bytes) {
            const std::lock_guard lock(mutex);
            if (!progress(done += bytes, total)) stopped = true;
            const auto now = std::chrono::steady_clock::now();
            if (halt_note.empty() || now - looked < std::chrono::seconds(1)) return;
            looked = now;
            halted = halted || std::filesystem::exists(halt_note);
            if (halted) stopped = true;
        }
    };

    // The other ranks need not go on for hours: this one will say why it did not.
    void halt_others() const noexcept {
        std::error_code problem;
        if (ranks_ > 1) std::filesystem::create_directory(halt_note_, problem);
    }

    // Says what the work is, once the files are laid out.
    static constexpr const char* kNote = "conversion";
    std::filesystem::path note() const { return folder_->notes() / kNote; }

    void lay_out() {
        plan_.target->create(folder_->path());
        const std::filesystem::path unnamed = folder_->notes() / "conversion.new";
        create_file(unnamed, plan_.identity);
        sync_path(unnamed);
        std::filesystem::rename(unnamed, note());
        sync_path(folder_->notes());
    }

    // Whether an earlier run laid the folder out, and for this very conversion.
    bool begun() {
        if (!std::filesystem::exists(note())) {
            folder_->start_over();
            return false;
        }
        require_this_conversion(folder_->notes());
        return true;
    }

    // Also between the ranks of one job, which may not see the same folders.
    void require_this_conversion(const std::filesystem::path& notes) const {
        const std::string begun = read_file(notes / kNote, ExitCode::File);
        require(begun == plan_.identity, ExitCode::File,
                "{} was begun by another conversion ({}; this one is {}): give the same source and options "
                "to go on with it, or remove it",
                notes.string(), one_line(begun), one_line(plan_.identity));
    }

    void open() {
        if (!std::exchange(opened_, true)) plan_.target->open(staging_paths(target_).files);
    }

    static std::string one_line(std::string text) {
        text.resize(std::min(text.size(), text.find('\n')));
        return text;
    }

    std::uint64_t tensor_bytes(std::size_t tensor) const {
        std::uint64_t bytes = 0;
        for (const PlacedPart& part : plan_.target->parts(tensor))
            bytes += part.values.bytes + part.scales.bytes;
        return bytes;
    }

    // Files that are not cut have tensors that share pages; those of two machines must not write one page.
    std::size_t first_whole(std::size_t tensor) const {
        if (plan_.slices > 0 || tensor == 0) return tensor;
        const auto file_of = [&](std::size_t i) { return plan_.target->parts(i).front().values.file; };
        while (tensor < plan_.tensors.size() && file_of(tensor) == file_of(tensor - 1)) ++tensor;
        return tensor;
    }

    // The tensors of a rank follow each other, as in the source's files, and have about as many bytes as
    // any other rank's.
    std::vector<std::size_t> share(int rank, int ranks) const {
        std::vector<std::uint64_t> before{0};
        for (std::size_t i = 0; i < plan_.tensors.size(); ++i)
            before.push_back(before.back() + tensor_bytes(i));
        const auto first_of = [&](int r) {
            const auto count = static_cast<std::uint64_t>(ranks);
            const std::uint64_t bytes = before.back() / count * static_cast<std::uint64_t>(r);
            return r == ranks
                       ? plan_.tensors.size()
                       : static_cast<std::size_t>(std::ranges::lower_bound(before, bytes) - before.begin());
        };
        std::vector<std::size_t> share;
        for (std::size_t i = first_whole(first_of(rank)); i < first_whole(first_of(rank + 1)); ++i)
            share.push_back(i);
        return share;
    }

    // Writes a tensor, unless what an earlier run noted of it is in the files.
    void finish(std::size_t tensor, const FinishedTensor* noted, TensorWork& worker, Advance& advance) {
        if (noted != nullptr && worker.holds(*noted)) return advance(tensor_bytes(tensor));
        if (noted != nullptr)
            log_warning("{}: what an earlier run wrote of it is damaged; it is written again",
                        plan_.tensors[tensor].spec.name);
        const bool holes = options_.holes && noted == nullptr;
        journal_->add(worker.convert(tensor, holes, [&](std::uint64_t bytes) { advance(bytes); }));
    }

    std::filesystem::path input_, target_;
    ConvertOptions options_;
    std::string fingerprint_;  // of the source, when it was opened
    std::unique_ptr<CheckpointSource> source_;
    ConversionPlan plan_;
    int threads_ = 1;
    bool opened_ = false;
    std::optional<StagedFolder> folder_;  // rank 0's
    std::optional<OutputFiles> files_;
    std::optional<Journal> journal_;
    int ranks_ = 1;
    std::filesystem::path halt_note_;
    std::vector<std::size_t> share_;                         // of the tensors, this rank's
    std::unordered_map<std::size_t, FinishedTensor> noted_;  // by earlier runs
};

Conversion::Conversion(const std::filesystem::path& input, const std::filesystem::path& target,
                       const ConvertOptions& options)
    : impl_(std::make_unique<Impl>(input, target, options)) {}
Conversion::~Conversion() = default;

std::uint64_t Conversion::prepare() { return impl_->prepare(); }
void Conversion::begin(int rank, int ranks, const std::string& run) { impl_->begin(rank, ranks, run); }
void Conversion::work(const ConvertProgress& progress) { impl_->work(progress); }
void Conversion::flush() { impl_->flush(); }
ConvertResult Conversion::finish() { return impl_->finish(); }
void Conversion::stop(ExitCode why) { impl_->stop(why); }

ConvertResult convert_checkpoint(const std::filesystem::path& input, const std::filesystem::path& target,
                                 const ConvertOptions& options, const ConvertProgress& progress) {
    Conversion conversion(input, target, options);
    try {
        conversion.prepare();
        conversion.begin(0, 1, "");
        conversion.work(progress);
        conversion.flush();
        return conversion.finish();
    } catch (const Error& problem) {
        conversion.stop(problem.code());
        throw;
    }
}

}  // namespace sluice
