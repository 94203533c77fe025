#include "engine/generation.hpp"

#include "text/request_json.hpp"
#include "text/tokenizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace sluice::test {
namespace {

class ListedRequests : public PromptSource {
public:
    ListedRequests(const std::vector<Request>& requests, int quiet) : requests_(requests), quiet_(quiet) {}
    std::optional<ParsedLine> next() override {
        if (next_ == requests_.size()) return std::nullopt;
        return requests_[next_++];
    }
    bool ready(int) override { return quiet_-- <= 0; }

private:
    const std::vector<Request>& requests_;
    int quiet_;
    std::size_t next_ = 0;
};

BatchPolicy masking(BatchPolicy policy, std::optional<Token> masked) {
    policy.masked = masked;
    return policy;
}

// What rank 0 needs to lead a loop of `settings`.
class Leading {
public:
    Leading(SmallModel& model, Engine& engine, const RunSettings& settings, int longest_prompt,
            const std::vector<Request>& requests)
        : files_{model.checkpoint().text_files()},
          tokenizer_(make_tokenizer(files_)),
          scheduler_(masking(settings.policy, model.config().masked_token), settings.pages),
          longest_(std::min(model.config().max_length, scheduler_.longest_sequence())),
          encoder_(*tokenizer_, chat_template_of(files_),
                   {false, "", model.config().vocab, longest_prompt > 0 ? longest_prompt : longest_}),
          source_(requests, settings.quiet),
          engine_(engine),
          settings_(settings) {}

    LoopParts parts(RunResult& result) {
        return {source_,
                encoder_,
                *tokenizer_,
                scheduler_,
                engine_,
                settings_.has_room,
                [&result] { ++result.idle_calls; },
                limiting()};
    }
    int longest() const { return longest_; }

    void run(RequestLoop& loop, RunResult& result) {
        int steps = 0;
        std::int64_t rows = 0;
        const auto stop = [&] {
            result.most_running = std::max(result.most_running, scheduler_.running());
            const Tally& tally = loop.tally();
            if (std::exchange(rows, tally.prefill_rows + tally.decode_rows) != rows) ++steps;
            return steps == settings_.steps;
        };
        loop.run(stop, [&](const Tally&) { ++result.rounds; });
        result.tally = loop.tally();
    }

private:
    std::function<void(const StepCost&)> limiting() {
        if (!settings_.limits) return {};
        return [this](const StepCost& step) {
            const auto [sequences, rows] = settings_.limits(step);
            scheduler_.limit(sequences, rows);
        };
    }

    TokenizerFiles files_;
    std::unique_ptr<Tokenizer> tokenizer_;
    Scheduler scheduler_;
    int longest_;
    RequestEncoder encoder_;
    ListedRequests source_;
    Engine& engine_;
    const RunSettings& settings_;
};

void generate(SmallModel& model, Engine& engine, const RunSettings& settings,
              const std::vector<Request>& requests, RunResult& result) {
    Leading leading(model, engine, settings, 0, requests);
    GeneratorOptions options;
    options.return_tokens = true;
    options.keep_logprobs = settings.keep_logprobs;
    options.longest = leading.longest();
    options.end_of_turn = settings.end_of_turn;
    if (settings.streams) {
        options.on_text = [&](std::string_view id, std::string_view piece) {
            result.pieces[std::string(id)].emplace_back(piece);
        };
    }
    options.earlier = [&](const Request&, std::uint64_t fingerprint) -> std::optional<PartialAnswer> {
        const auto known = std::ranges::find(settings.earlier, fingerprint, &PartialAnswer::fingerprint);
        return known == settings.earlier.end() ? std::nullopt : std::optional(*known);
    };
    Generator generator(leading.parts(result), options, [&](const Answer& answer) {
        result.answers[answer.completion.id] = answer;
        if (settings.on_answer) settings.on_answer(answer);
    });
    leading.run(generator, result);
    result.unfinished = generator.unfinished();
}

void score(SmallModel& model, Engine& engine, const RunSettings& settings,
           const std::vector<Request>& requests, RunResult& result) {
    Leading leading(model, engine, settings, std::numeric_limits<int>::max(), requests);
    Scorer scorer(leading.parts(result), leading.longest(),
                  [&](const Score& score) { result.scores[score.id_json] = score; });
    leading.run(scorer, result);
}

// Every rank is a thread; rank 0 calls `lead`.
template <class Lead>
RunResult run_loop(const RunSettings& settings, int logit_rows, const std::vector<Request>& requests,
                   const Lead& lead) {
    RunResult result;
    run_on_threads(settings.ranks, [&](Communicator& ranks) {
        SmallModelOptions options;
        options.family = settings.family;
        options.gemm = settings.gemm;
        options.kv_dtype = settings.kv_dtype;
        options.threads = settings.threads;
        options.rows = settings.policy.max_rows;
        options.logit_rows = logit_rows;
        options.positions = 2048;
        options.pages = settings.pages;
        options.links = settings.links;
        SmallModel model(settings.checkpoint, options, ranks);
        const Decoder& decoder = model.decoder();
        Sampler sampler(model.ops(), model.sums(), ranks, decoder.shard(), model.config().vocab,
                        decoder.vocabulary_slices());
        Engine engine(model.decoder(), model.cache(), sampler, ranks);
        if (ranks.rank() == 0) {
            if (settings.on_step) engine.watch([&](const Step&) { settings.on_step(); });
            try {
                lead(model, engine, settings, requests, result);
            } catch (...) {
                EXPECT_FALSE(engine.broken()) << "the other ranks wait for the rest of a step";
                engine.stop();
                throw;
            }
            engine.stop();
        } else {
            engine.follow();
        }
    });
    return result;
}

}  // namespace

RunResult run_requests(const RunSettings& settings, const std::vector<Request>& requests) {
    return run_loop(settings, settings.policy.max_sequences, requests, generate);
}

RunResult run_scores(const RunSettings& settings, const std::vector<Request>& requests) {
    return run_loop(settings, settings.policy.max_rows, requests, score);
}

Request text_request(const std::string& id, const std::string& prompt, const Sampling& sampling) {
    return {id, to_json_string(id), id, prompt, sampling, ""};
}

Request token_request(const std::string& id, std::vector<Token> tokens, const Sampling& sampling) {
    return {id, to_json_string(id), id, std::move(tokens), sampling, ""};
}

std::string transcript(const RunResult& result) {
    std::string text;
    for (const auto& [id, answer] : result.answers) {
        text += to_json_line(answer.completion);
        for (const PositionLogprobs& position : answer.logprobs)
            text += fmt::format(" {:08x}", std::bit_cast<std::uint32_t>(position.chosen.logprob));
        text += "\n";
    }
    for (const auto& [id, score] : result.scores) {
        text += to_json_line(score);
        for (const float logprob : score.logprobs)
            text += fmt::format(" {:08x}", std::bit_cast<std::uint32_t>(logprob));
        text += "\n";
    }
    return text;
}

}  // namespace sluice::test
