#include "jobs/model_job.hpp"

#include "backend/available_memory.hpp"
#include "checkpoint/hf_files.hpp"
#include "comm/collectives.hpp"
#include "comm/nccl.hpp"
#include "comm/rank_state.hpp"
#include "core/log.hpp"
#include "core/signals.hpp"
#include "core/units.hpp"
#include "jobs/staged_copy.hpp"
#include "kernels/workspace.hpp"
#include "model/kv_cache.hpp"
#include "model/rank_sums.hpp"
#include "text/no_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

Shard shard_of(const Communicator& world, const SluiceCheckpoint& checkpoint, const JobOptions& options) {
    const int ranks = world.size();
    require(options.tp == 0 || options.tp == ranks, ExitCode::Usage,
            "--tp {} with {} ranks: groups of ranks that share the prompts are not supported, so --tp must "
            "be {} or 0",
            options.tp, ranks, ranks);
    require(checkpoint.slices() % ranks == 0, ExitCode::Usage,
            "{} has {} slices, which {} ranks cannot share evenly; it runs on {} ranks. Start that many, or "
            "make slices "
            "for {} with sluice-shard --slices",
            options.model.string(), checkpoint.slices(), ranks, possible_ranks(checkpoint.slices()), ranks);
    return {world.rank(), ranks, checkpoint.slices()};
}

void check_tokenizer(const Tokenizer& tokenizer, const ModelConfig& config,
                     const std::filesystem::path& model) {
    require(tokenizer.vocab_size() <= config.vocab, ExitCode::Checkpoint,
            "{}: the tokenizer's highest id is {}, but the model's vocabulary ends at {}; they do not belong "
            "together",
            model.string(), tokenizer.vocab_size() - 1, config.vocab - 1);
}

void open_model(Setup& setup, const Communicator& world, const JobOptions& options) {
    setup.checkpoint = open_sluice_checkpoint(options.model);
    const TokenizerFiles files{setup.checkpoint->text_files()};
    setup.tokenizer = has_tokenizer(files.files) ? make_tokenizer(files)
                                                 : make_no_tokenizer(files, setup.checkpoint->config().vocab);
    setup.chat_format = find_chat_format(options.chat_format);
    setup.chat = open_chat(files, setup.chat_format);
    check_tokenizer(*setup.tokenizer, setup.checkpoint->config(), options.model);
    setup.shard = shard_of(world, *setup.checkpoint, options);
}

MemoryRequest memory_request(const Setup& setup, const JobOptions& options, const ModelJob& job) {
    const int most = setup.checkpoint->config().max_length;
    const int longest = job.longest > 0 ? std::min(job.longest, most) : most;
    MemoryRequest request;
    const ComputeDevice& compute = setup.compute;
    request.available =
        available_memory(compute.family, compute.device) / static_cast<std::uint64_t>(compute.sharing);
    if (kernels::works_on_host(compute.family)) request.available -= std::min(job.memory, request.available);
    request.host_available = available_host_memory() / static_cast<std::uint64_t>(setup.placement.local_size);
    request.family = compute.family;
    request.kv_memory = options.kv_memory;
    request.kv_dtype = options.kv_dtype;
    request.router = router_type(*setup.checkpoint);
    request.limits.positions = options.max_seq_len > 0 ? options.max_seq_len : longest;
    return request;
}

void choose_steps(Setup& setup, const JobOptions& options, const ModelJob& job) {
    const ModelConfig& config = setup.checkpoint->config();
    require(options.gemm != Products::Fp8 || config.quantization.dtype == DType::F8E4M3, ExitCode::Usage,
            "--gemm fp8: {} is not quantised to fp8", options.model.string());
    require(options.max_seq_len <= config.max_length, ExitCode::Usage,
            "--max-seq-len {}: the model has {} positions", options.max_seq_len, config.max_length);
    kernels::AttentionArgs attention;
    attention.page_dtype = options.kv_dtype;
    require(kernels::find(setup.compute.family, attention, kernels::this_machine()) != nullptr,
            ExitCode::Usage,
            "--kv-dtype: {} has no attention for a cache of {}; leave it out, or use --device cpu",
            setup.compute.name, name_of(options.kv_dtype));
    setup.threads = options.threads > 0 ? options.threads : setup.placement.threads;
    setup.batch = choose_batch(config, setup.shard, memory_request(setup, options, job),
                               {options.max_batch, options.max_batch_tokens}, job.all_logits);
}

void plan(Setup& setup, const JobOptions& options, const ModelJob& job) {
    MemoryRequest request = memory_request(setup, options, job);
    const BatchLimits provided{std::max(setup.batch.sequences, job.sequences),
                               std::max(setup.batch.rows, job.sequences)};
    request.sequences = provided.sequences;
    request.limits = limits_of(provided, job.all_logits, request.limits.positions);
    setup.memory = plan_memory(setup.checkpoint->config(), setup.shard, request);
    setup.limits = request.limits;
}

// All ranks provide for the same steps and have the same pages: those of the rank with the least room.
int least(Communicator& world, int mine) { return std::ranges::min(gather_values(world, mine)); }

// Levels round differently: mixed, the ranks' count and place would show in the results.
void require_one_level(Communicator& world, const ComputeDevice& compute) {
    const std::vector<std::string> levels = gather_strings(world, compute.level);
    for (std::size_t rank = 1; rank < levels.size(); ++rank) {
        if (levels[rank] == levels[0]) continue;
        throw AgreedError(ExitCode::Usage, fmt::format("rank 0 computes with {}, rank {} with {}: {}",
                                                       levels[0], rank, levels[rank], compute.to_level));
    }
}

}  // namespace

Setup prepare(Communicator& world, const JobOptions& options, const ModelJob& job) {
    Setup setup;
    setup.placement = find_placement(world);
    setup.compute = choose_compute_device(world, options.device, options.comm, setup.placement);
    require_one_level(world, setup.compute);
    run_together(world, "preparing", [&] {
        job.check();
        open_model(setup, world, options);
        choose_steps(setup, options, job);
    });
    setup.batch = {least(world, setup.batch.sequences), least(world, setup.batch.rows)};
    run_together(world, "planning", [&] {
        plan(setup, options, job);
        if (world.rank() == 0) job.open(setup);
    });
    setup.memory.pages = least(world, setup.memory.pages);
    setup.memory.kv = static_cast<std::uint64_t>(setup.memory.pages) *
                      kv_page_bytes(setup.checkpoint->config(), setup.shard, options.kv_dtype);
    keep_threads_on(cpus_to_keep(setup.placement, setup.threads));
    return setup;
}

namespace {

std::string counted(int count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void warn_of_unknown_tokens(const ChatFormat& format, const Tokenizer& tokenizer) {
    for (const std::string_view token : format.tokens) {
        if (tokenizer.id_of(token)) continue;
        log_warning(
            "--chat-format {}: {} is no token of this model's tokenizer; the model may not know the "
            "format",
            format.name, token);
    }
}

}  // namespace

void log_plan(const Setup& setup, const JobOptions& options) {
    const ModelConfig& config = setup.checkpoint->config();
    log_info("{}: {} layers, {} slices; {} of {}, {}", options.model.string(), config.layers.size(),
             setup.shard.slices, counted(setup.shard.ranks, "rank"), counted(setup.threads, "thread"),
             setup.compute.name);
    if (!setup.shard.sums_by_slices()) {
        log_warning(
            "{} slices a rank are no power of two: the last bits differ from those on other numbers of ranks",
            setup.shard.count());
    }
    if (!has_tokenizer(setup.checkpoint->text_files())) {
        log_warning(
            "{} has no tokenizer: only requests of \"tokens\" are served, and answers have no text but "
            "token ids (--return-tokens)",
            options.model.string());
    }
    if (setup.chat_format != nullptr) warn_of_unknown_tokens(*setup.chat_format, *setup.tokenizer);
    if (!setup.compute.without.empty()) log_info("computing on the CPU: {}", setup.compute.without);
    if (setup.compute.linked) log_info("the ranks' GPUs are linked by NCCL");
    if (!setup.compute.unlinked.empty())
        log_info("the ranks add by way of the host: {}", setup.compute.unlinked);
    log_info("steps of up to {} sequences and {} tokens", setup.batch.sequences, setup.batch.rows);
    log_info("each rank: weights {}, workspace {}, KV cache {} ({} tokens)", bytes_text(setup.memory.weights),
             bytes_text(setup.memory.workspace), bytes_text(setup.memory.kv),
             static_cast<std::int64_t>(setup.memory.pages) * kernels::kPageTokens);
}

namespace {

double gigabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e9; }

// How loading goes: rank 0 says it aloud every five seconds.
class LoadLog {
public:
    void show(const LoadProgress& at, bool aloud) {
        last_ = at;
        if (!aloud || Clock::now() - shown_ < std::chrono::seconds(5)) return;
        shown_ = Clock::now();
        const double rate = static_cast<double>(at.bytes) / seconds();
        log_info("loading: {:.0f}% of {}, {:.2f} GB/s, {} left",
                 100 * static_cast<double>(at.bytes) / static_cast<double>(at.total), bytes_text(at.total),
                 rate / 1e9, duration_text(static_cast<double>(at.total - at.bytes) / rate));
    }

    void finish() const {
        log_info("loaded {} in {} ({:.2f} GB/s a rank): waited {:.1f} s for data, packed for {:.1f} s",
                 bytes_text(last_.bytes), duration_text(seconds()), gigabytes(last_.bytes) / seconds(),
                 last_.seconds_waited, seconds() - last_.seconds_waited);
    }

    double seconds() const {
        return std::max(std::chrono::duration<double>(Clock::now() - start_).count(), 1e-9);
    }
    const LoadProgress& last() const { return last_; }

private:
    using Clock = std::chrono::steady_clock;

    const Clock::time_point start_ = Clock::now();
    Clock::time_point shown_ = start_;
    LoadProgress last_;
};

}  // namespace

Weights load_model(Communicator& world, Setup& setup, const Ops& ops, const JobOptions& options) {
    const std::unique_ptr<SluiceCheckpoint> copy =
        options.stage_dir.empty()
            ? nullptr
            : stage(world, *setup.checkpoint, options.model, setup.shard, setup.placement, options.stage_dir);
    SluiceCheckpoint& checkpoint = copy == nullptr ? *setup.checkpoint : *copy;
    LoadLog log;
    Weights weights;
    run_together(world, "loading weights", [&] {
        const Activity activity("loading weights");
        const auto read = [&] {
            weights = load_weights(checkpoint, setup.shard, ops, options.gemm, [&](const LoadProgress& at) {
                note_progress();
                log.show(at, world.rank() == 0);
            });
        };
        if (copy == nullptr) return read();
        reading_copies(read);
    });
    setup.loads = gather_values(world, RankLoad{log.seconds(), log.last().bytes});
    if (world.rank() == 0) log.finish();
    return weights;
}

LoadedModel::LoadedModel(Communicator& world, const Setup& setup, Weights weights, const Ops& ops,
                         DType kv_dtype)
    : world_(world), setup_(setup) {
    const ModelConfig& config = setup.checkpoint->config();
    auto links = links_of(world, setup, ops);
    run_together(world, "claiming memory", [&] {
        const Activity activity("claiming memory");
        sums_ = make_rank_sums(ops, world, std::move(links));
        decoder_.emplace(config, setup.shard, std::move(weights), setup.limits, ops, *sums_);
        cache_.emplace(ops.memory(), config, setup.shard, kv_dtype, setup.memory.pages);
    });
    {
        const Activity activity("connecting the devices");
        sums_->connect();
    }
    sampler_.emplace(ops, *sums_, world, setup.shard, config.vocab, decoder_->vocabulary_slices());
    engine_.emplace(*decoder_, *cache_, *sampler_, world, stop_signal);
}

// Rank 0's trouble with files is told to the others by an ordinary stop; trouble inside a step ends the job.
ExitCode LoadedModel::run(const ModelJob& job) {
    std::array<int, 1> end{};
    std::optional<Error> trouble;
    const Activity activity(job.name);
    engine_->when_idle(job.idle);
    if (world_.rank() == 0) {
        try {
            end[0] = static_cast<int>(job.lead(setup_, *engine_));
        } catch (const Error& problem) {
            if (engine_->broken()) throw;
            trouble = problem;
        }
        engine_->stop();
    } else {
        engine_->follow();
    }
    run_together(world_, job.name, [&] {
        if (trouble) throw Error(*trouble);
    });
    world_.broadcast(std::as_writable_bytes(std::span(end)), 0);
    return static_cast<ExitCode>(end[0]);
}

Ops ops_of(const Setup& setup, OpClock* clock) {
    return {setup.compute.family, setup.threads, clock, setup.compute.device};
}

std::unique_ptr<DeviceLinks> links_of(Communicator& world, const Setup& setup, const Ops& ops) {
    return setup.compute.linked ? make_nccl_links(world, ops.stream()) : nullptr;
}

ExitCode run_model_job(Communicator& world, const JobOptions& options, const ModelJob& job) {
    catch_stop_signals();
    Setup setup = prepare(world, options, job);
    if (world.rank() == 0) log_plan(setup, options);
    if (options.dry_run) return ExitCode::Complete;

    const Ops ops = ops_of(setup);
    Weights weights = load_model(world, setup, ops, options);
    return LoadedModel(world, setup, std::move(weights), ops, options.kv_dtype).run(job);
}

RequestEncoder encoder_of(const Setup& setup, const JobOptions& options, int longest) {
    return {*setup.tokenizer,
            setup.chat,
            {options.chat, options.system, setup.checkpoint->config().vocab, longest}};
}

Scheduler scheduler_of(const Setup& setup, const JobOptions& options, bool arrival_order) {
    BatchPolicy policy;
    policy.max_sequences = setup.batch.sequences;
    policy.max_rows = setup.batch.rows;
    policy.prefill_chunk = options.prefill_chunk > 0 ? options.prefill_chunk : setup.batch.rows;
    policy.share_prefixes = options.prefix_sharing;
    policy.masked = setup.checkpoint->config().masked_token;
    policy.arrival_order = arrival_order;
    return {policy, setup.memory.pages};
}

std::function<void(const StepCost&)> tuner_of(const Setup& setup, const JobOptions& options,
                                              Scheduler& scheduler) {
    const bool free_sequences = options.max_batch == 0;
    const bool free_rows = options.max_batch_tokens == 0;
    if (!free_sequences && !free_rows) return {};
    const auto follow = [most = setup.batch, free_sequences, free_rows, &scheduler](const BatchTuner& tuner) {
        scheduler.limit(free_sequences ? std::min(tuner.rows(), most.sequences) : most.sequences,
                        free_rows ? tuner.rows() : most.rows);
    };
    BatchTuner tuner(setup.batch.rows);
    follow(tuner);
    return [tuner = std::move(tuner), follow](const StepCost& step) mutable {
        tuner.ran(step);
        follow(tuner);
    };
}

}  // namespace sluice
