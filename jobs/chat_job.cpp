#include "jobs/chat_job.hpp"

#include "core/log.hpp"
#include "core/signals.hpp"
#include "jobs/chat.hpp"
#include "jobs/generate_job.hpp"
#include "jobs/model_job.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

void require_chat_template(const Setup& setup, const GenerateOptions& options) {
    require(options.raw || setup.chat, ExitCode::Usage,
            "{} has no chat template: choose a format with --chat-format ({}), or give --raw to have each "
            "line continued as plain text",
            options.model.string(), fmt::join(names_of(chat_formats()), ", "));
}

// `known`: prompt tokens that earlier turns had computed.
void log_cost(const Completion& answer, Clock::time_point asked, std::int64_t known) {
    const double seconds = std::chrono::duration<double>(Clock::now() - asked).count();
    log_debug("{}: {} prompt tokens, {} of them known; {} completion tokens, {:.1f} tokens/s", answer.id,
              answer.prompt_tokens, known, answer.completion_tokens,
              static_cast<double>(answer.completion_tokens) / std::max(seconds, 1e-9));
}

// That asked some rank to stop; 0: none. SIGINT is the conversation's, though other ranks may get it as well.
int stop_signal_of(const Engine& engine) {
    if (stop_signal() != 0) return stop_signal();
    return engine.stop_signal() == SIGINT ? 0 : engine.stop_signal();
}

ExitCode stopped_by(int signal) {
    log_info("stopped by signal {}", signal);
    return ExitCode::Stopped;
}

ExitCode lead(const Setup& setup, Engine& engine, const GenerateOptions& options) {
    keep_interrupts();
    if (stop_signal() != 0) return stopped_by(stop_signal());
    Chat chat(options.sampling, options.raw);
    const RequestEncoder encoder = encoder_of(setup, options, setup.limits.positions);
    Scheduler scheduler = scheduler_of(setup, options);
    GeneratorOptions choices = generator_options(options, *setup.tokenizer, setup.limits.positions);
    choices.on_text = [&](std::string_view, std::string_view piece) { chat.show(piece); };
    std::int64_t shared = 0;
    const auto answered = [&](const Answer& answer) {
        chat.take(answer.completion);
        log_cost(answer.completion, chat.asked(), scheduler.shared_tokens() - shared);
        shared = scheduler.shared_tokens();
    };
    const LoopParts parts{.source = chat,
                          .encoder = encoder,
                          .tokenizer = *setup.tokenizer,
                          .scheduler = scheduler,
                          .engine = engine,
                          .idle = [&] { engine.idle(); }};
    Generator generator(parts, std::move(choices), answered);
    log_info("ready: a line is a message, /help lists the commands");
    while (!generator.run([&] { return stop_signal_of(engine) != 0 || chat.wants_stop(); })) {
        generator.finish_early();
        if (const int signal = stop_signal_of(engine)) return stopped_by(signal);
    }
    return ExitCode::Complete;
}

}  // namespace

ExitCode chat(Communicator& world, const GenerateOptions& options) {
    GenerateOptions alone = options;
    alone.max_batch = 1;  // what the cache is made for
    alone.chat = !options.raw;
    ModelJob job;
    job.name = "chatting";
    job.check = [&] { check_generate_options(options); };
    job.open = [&](const Setup& setup) { require_chat_template(setup, options); };
    job.lead = [&](const Setup& setup, Engine& engine) { return lead(setup, engine, alone); };
    return run_model_job(world, alone, job);
}

}  // namespace sluice
