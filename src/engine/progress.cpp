#include "engine/progress.hpp"

#include "core/log.hpp"
#include "core/units.hpp"

#include <cstdio>

#include <unistd.h>

namespace sluice {

Progress::Progress(Mode mode, Purpose purpose, std::optional<std::int64_t> total, const Tally& before)
    : live_(mode == Mode::Auto && isatty(STDERR_FILENO) == 1),
      off_(mode == Mode::Off),
      scores_(purpose == Purpose::Score),
      total_(total),
      before_(before) {}

void Progress::update(const Tally& tally) {
    const Clock::time_point now = Clock::now();
    if (off_ || now - shown_ < (live_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
    shown_ = now;
    const std::string text = line(tally, std::chrono::duration<double>(now - start_).count());
    if (live_) {
        fmt::print(stderr, "\r\x1b[K{}", text);
        std::fflush(stderr);
        set_live_line(true);
    } else {
        log_info("{}", text);
    }
}

std::string Progress::line(const Tally& tally, double seconds) const {
    const std::int64_t done = before_.answered + tally.answered;
    std::string text = total_ ? fmt::format("{}/{} done", done, *total_) : fmt::format("{} done", done);
    if (tally.errors > 0) text += fmt::format(" ({} errors)", tally.errors);
    const auto out = static_cast<double>(tally.decode_rows);
    const auto in = static_cast<double>(tally.prefill_rows);
    text += scores_ ? fmt::format(", {:.0f} tokens/s", (out + in) / seconds)
                    : fmt::format(", {:.0f} tokens/s out, {:.0f} in", out / seconds, in / seconds);
    text += fmt::format(", {} running, {} waiting, KV {:.0f} %", tally.running, tally.waiting,
                        100.0 * tally.pages_held / std::max(tally.pages, 1));
    if (total_ && tally.answered > 0) {
        const auto left = static_cast<double>(std::max<std::int64_t>(*total_ - done, 0));
        text += fmt::format(", {} left", duration_text(seconds / static_cast<double>(tally.answered) * left));
    }
    return text;
}

std::string Progress::summary(const Tally& tally, double seconds) const {
    const double rated = std::max(seconds, 1e-9);
    if (!scores_) {
        return fmt::format("{} prompt and {} completion tokens, {:.1f} completion tokens/s",
                           tally.prompt_tokens, tally.completion_tokens,
                           static_cast<double>(tally.completion_tokens) / rated);
    }
    ScoreTotals all = before_.scores;
    all += tally.scores;
    std::string text = fmt::format("{} tokens, {:.1f} tokens/s; ", tally.prompt_tokens,
                                   static_cast<double>(tally.prompt_tokens) / rated);
    if (all.tokens == 0) return text + "no token was scored";
    return text + fmt::format("perplexity {:.6g} of {} scored tokens", all.perplexity(), all.tokens);
}

void Progress::finish(const Tally& tally, bool complete) {
    if (off_) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    std::string text = fmt::format("{}: {} {}", complete ? "complete" : "stopped early", tally.answered,
                                   scores_ ? "texts" : "requests");
    if (tally.errors > 0) text += fmt::format(" ({} errors)", tally.errors);
    if (before_.answered > 0) text += fmt::format(" after {} of earlier runs", before_.answered);
    text += fmt::format(" in {}; {}", duration_text(seconds), summary(tally, seconds));
    if (tally.shared_tokens > 0) text += fmt::format("; {} prompt tokens shared", tally.shared_tokens);
    if (tally.preemptions > 0) text += fmt::format("; {} preemptions", tally.preemptions);
    log_info("{}", text);
}

}  // namespace sluice
