#include "jobs/generate_job.hpp"

#include "backend/devices.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "core/log.hpp"
#include "core/units.hpp"
#include "engine/engine.hpp"
#include "engine/generator.hpp"
#include "engine/memory_plan.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "jobs/signals.hpp"
#include "model/kv_cache.hpp"
#include "text/chat_template.hpp"
#include "text/prompt_count.hpp"
#include "text/resume.hpp"
#include "text/run_record.hpp"
#include "text/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

// Everything about a run that can be known, and refused, before the weights are read.
struct Setup {
    std::unique_ptr<SluiceCheckpoint> checkpoint;
    std::unique_ptr<Tokenizer> tokenizer;
    std::optional<ChatTemplate> chat;
    Placement placement;
    Shard shard;
    int threads = 1;
    DecoderLimits limits;
    MemoryPlan memory;
    // Rank 0 only.
    std::unique_ptr<PromptSource> prompts;
    std::optional<std::int64_t> total;  // requests in the input, where it can be counted
    std::unique_ptr<CompletionFile> output;
};

Shard shard_of(const Communicator& world, const SluiceCheckpoint& checkpoint,
               const GenerateOptions& options) {
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

void open_model(Setup& setup, const Communicator& world, const GenerateOptions& options) {
    setup.checkpoint = open_sluice_checkpoint(options.model);
    const TokenizerFiles files{setup.checkpoint->text_files()};
    setup.tokenizer = make_tokenizer(files);
    setup.chat = chat_template_of(files);
    check_tokenizer(*setup.tokenizer, setup.checkpoint->config(), options.model);
    setup.shard = shard_of(world, *setup.checkpoint, options);
}

void plan(Setup& setup, const GenerateOptions& options) {
    const ModelConfig& config = setup.checkpoint->config();
    require(options.gemm != Products::Fp8 || config.quantization.dtype == DType::F8E4M3, ExitCode::Usage,
            "--gemm fp8: {} is not quantised to fp8", options.model.string());
    require(options.max_seq_len <= config.max_length, ExitCode::Usage,
            "--max-seq-len {}: the model has {} positions", options.max_seq_len, config.max_length);
    setup.threads = options.threads > 0 ? options.threads : setup.placement.threads;
    MemoryRequest request;
    request.available = available_host_memory() / static_cast<std::uint64_t>(setup.placement.local_size);
    request.kv_memory = options.kv_memory;
    request.kv_dtype = options.kv_dtype;
    request.sequences = options.max_batch;
    request.limits = {options.max_batch_tokens, options.max_batch,
                      options.max_seq_len > 0 ? options.max_seq_len : config.max_length};
    setup.memory = plan_memory(config, setup.shard, request);
    setup.limits = request.limits;
}

// What a completion depends on besides its own line: a resumed run must not change it.
RunRecord record_of(const Setup& setup, const GenerateOptions& options) {
    RunRecord record;
    record.add_text("model", setup.checkpoint->id());
    add_sampling(record, options.sampling);
    record.add_json("return_tokens", options.return_tokens ? "true" : "false");
    record.add_json("chat", options.chat ? "true" : "false");
    record.add_text("system", options.system);
    record.add_json("max_seq_len", std::to_string(setup.limits.positions));
    record.add_text("gemm", options.gemm == Products::Fp8 ? "fp8" : "bf16");
    record.add_text("kv_dtype", name_of(options.kv_dtype));
    // SLUICE_ISA lowers the one; sums of other rank counts than these are in an order of their own.
    record.add_text("instruction_set", kernels::level_of(kernels::this_machine()));
    record.add_text(
        "sums", setup.shard.sums_by_slices() ? "by slices" : fmt::format("of {} ranks", setup.shard.ranks));
    return record;
}

void open_files(Setup& setup, const GenerateOptions& options) {
    setup.prompts = open_prompts(options.prompts, options.prompt_format, options.sampling);
    setup.total = count_requests(options.prompts);
    setup.output = std::make_unique<CompletionFile>(options.output, options.output_mode());
    const bool resumes = options.resume && std::filesystem::exists(run_record_path(options.output));
    if (resumes) require_same_run(options.output, record_of(setup, options));
}

// Every rank's cache has the same pages: as many as the rank with the least room.
int least(Communicator& world, int mine) {
    std::vector<int> all(static_cast<std::size_t>(world.size()));
    world.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    return *std::ranges::min_element(all);
}

// Levels round differently: mixed, the ranks' count and place would show in the results.
void require_one_level(Communicator& world) {
    const std::vector<std::string> levels = gather_strings(world, kernels::level_of(kernels::this_machine()));
    for (std::size_t rank = 1; rank < levels.size(); ++rank) {
        if (levels[rank] == levels[0]) continue;
        throw AgreedError(
            ExitCode::Usage,
            fmt::format("rank 0 computes with {}, rank {} with {}: set SLUICE_ISA to a level that "
                        "all machines have (generic, avx2, avx512 or avx512_bf16)",
                        levels[0], rank, levels[rank]));
    }
}

Setup prepare(Communicator& world, const GenerateOptions& options) {
    Setup setup;
    setup.placement = find_placement(world);
    require_one_level(world);
    run_together(world, "preparing", [&] {
        check_generate_options(options);
        open_model(setup, world, options);
        plan(setup, options);
        if (world.rank() == 0) open_files(setup, options);
    });
    setup.memory.pages = least(world, setup.memory.pages);
    setup.memory.kv = static_cast<std::uint64_t>(setup.memory.pages) *
                      kv_page_bytes(setup.checkpoint->config(), options.kv_dtype);
    return setup;
}

std::string counted(int count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void log_plan(const Setup& setup, const GenerateOptions& options) {
    const ModelConfig& config = setup.checkpoint->config();
    log_info("{}: {} layers, {} slices; {} of {}, {}", options.model.string(), config.layers.size(),
             setup.shard.slices, counted(setup.shard.ranks, "rank"), counted(setup.threads, "thread"),
             kernels::level_of(kernels::this_machine()));
    if (!setup.shard.sums_by_slices()) {
        log_warning(
            "{} slices a rank are no power of two: the last bits differ from those on other numbers of ranks",
            setup.shard.count());
    }
    const std::vector<Device> gpus = cuda_devices();
    if (options.device == "auto" && !gpus.empty()) {
        log_info("{} is here, but this version computes on the CPU", gpus.front().name);
    }
    log_info("each rank: weights {}, workspace {}, KV cache {} ({} tokens)", bytes_text(setup.memory.weights),
             bytes_text(setup.memory.workspace), bytes_text(setup.memory.kv),
             static_cast<std::int64_t>(setup.memory.pages) * kernels::kPageTokens);
}

Weights load(Communicator& world, const Setup& setup, const Ops& ops, const GenerateOptions& options) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Clock::time_point shown = start;
    Weights weights;
    run_together(world, "loading weights", [&] {
        weights = load_weights(*setup.checkpoint, setup.shard, ops, options.gemm, [&](std::uint64_t bytes) {
            if (world.rank() != 0 || Clock::now() - shown < std::chrono::seconds(5)) return;
            shown = Clock::now();
            log_info("loading: {} read", bytes_text(bytes));
        });
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const std::uint64_t bytes = setup.checkpoint->bytes_read();
    if (world.rank() == 0) {
        log_info("loaded {} in {} ({:.2f} GB/s a rank)", bytes_text(bytes), duration_text(seconds),
                 static_cast<double>(bytes) / 1e9 / std::max(seconds, 1e-9));
    }
    return weights;
}

ExitCode stopped() {
    log_info("stopped by signal {}: run again with --resume", stop_signal());
    return ExitCode::Stopped;
}

// Rank 0's part. Returns how the run ended.
ExitCode lead(Setup& setup, Engine& engine, const GenerateOptions& options) {
    if (stop_signal() != 0) return stopped();
    const Finished finished = setup.output->begin(record_of(setup, options));
    const std::int64_t before = finished.lines();
    const std::int64_t errors_before = finished.errors();
    const auto source = skip_finished(std::move(setup.prompts), finished);

    const RequestEncoder encoder(
        *setup.tokenizer, setup.chat,
        {options.chat, options.system, setup.checkpoint->config().vocab, setup.limits.positions});
    Scheduler scheduler(
        {options.max_batch, options.max_batch_tokens, options.prefill_chunk, options.prefix_sharing},
        setup.memory.pages);
    Generator generator(*source, encoder, *setup.tokenizer, scheduler, engine,
                        {options.return_tokens, setup.limits.positions},
                        [&](const Answer& answer) { setup.output->write(answer.completion); });
    Progress progress(options.progress, setup.total, before);
    const bool complete = generator.run([] { return stop_signal() != 0; }, progress);
    setup.output->close();
    progress.finish(generator.tally(), complete);
    if (!complete) return stopped();
    return errors_before + generator.tally().errors > 0 ? ExitCode::SomeErrors : ExitCode::Complete;
}

}  // namespace

ExitCode generate(Communicator& world, const GenerateOptions& options) {
    catch_stop_signals();
    Setup setup = prepare(world, options);
    if (world.rank() == 0) log_plan(setup, options);
    if (options.dry_run) return ExitCode::Complete;

    const Ops ops(kernels::Family::Cpu, setup.threads);
    Weights weights = load(world, setup, ops, options);
    const ModelConfig& config = setup.checkpoint->config();
    std::optional<Decoder> decoder;
    std::optional<KvCache> cache;
    run_together(world, "claiming memory", [&] {
        decoder.emplace(config, setup.shard, std::move(weights), setup.limits, ops, world);
        cache.emplace(ops.memory(), config, options.kv_dtype, setup.memory.pages);
    });
    Sampler sampler(ops, world, setup.shard, config.vocab, decoder->vocabulary_slices());
    Engine engine(*decoder, *cache, sampler, world);

    // Rank 0's trouble with files is told to the others by an ordinary stop; trouble inside a step ends the
    // job.
    std::array<int, 1> end{};
    std::optional<Error> trouble;
    if (world.rank() == 0) {
        try {
            end[0] = static_cast<int>(lead(setup, engine, options));
        } catch (const Error& problem) {
            if (engine.broken()) throw;
            trouble = problem;
        }
        engine.stop();
    } else {
        engine.follow();
    }
    run_together(world, "generating", [&] {
        if (trouble) throw Error(*trouble);
    });
    world.broadcast(std::as_writable_bytes(std::span(end)), 0);
    return static_cast<ExitCode>(end[0]);
}

}  // namespace sluice
