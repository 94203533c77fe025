#include "engine/generation.hpp"

#include "text/request_json.hpp"
#include "text/tokenizer.hpp"

#include <algorithm>
#include <bit>

namespace sluice::test {
namespace {

class ListedRequests : public PromptSource {
public:
    explicit ListedRequests(const std::vector<Request>& requests) : requests_(requests) {}
    std::optional<ParsedLine> next() override {
        if (next_ == requests_.size()) return std::nullopt;
        return requests_[next_++];
    }
    bool ready(int) override { return true; }

private:
    const std::vector<Request>& requests_;
    std::size_t next_ = 0;
};

void lead(SmallModel& model, Engine& engine, const RunSettings& settings,
          const std::vector<Request>& requests, RunResult& result) {
    const TokenizerFiles files{model.checkpoint().text_files()};
    const auto tokenizer = make_tokenizer(files);
    Scheduler scheduler(settings.policy, settings.pages);
    const int longest = std::min(model.config().max_length, scheduler.longest_sequence());
    const RequestEncoder encoder(*tokenizer, chat_template_of(files),
                                 {false, "", model.config().vocab, longest});
    ListedRequests source(requests);
    Generator generator(source, encoder, *tokenizer, scheduler, engine, {true, longest},
                        [&](const Answer& answer) { result.answers[answer.completion.id] = answer; });
    Progress progress(Progress::Mode::Off, std::nullopt, 0);
    const auto watch = [&] {
        result.most_running = std::max(result.most_running, scheduler.running());
        return false;
    };
    generator.run(watch, progress);
    result.tally = generator.tally();
}

}  // namespace

RunResult run_requests(const RunSettings& settings, const std::vector<Request>& requests) {
    RunResult result;
    run_on_threads(settings.ranks, [&](Communicator& ranks) {
        SmallModelOptions options;
        options.family = settings.family;
        options.gemm = settings.gemm;
        options.threads = settings.threads;
        options.rows = settings.policy.max_rows;
        options.logit_rows = settings.policy.max_sequences;
        options.positions = 2048;
        options.pages = settings.pages;
        SmallModel model(settings.checkpoint, options, ranks);
        const Decoder& decoder = model.decoder();
        Sampler sampler(model.ops(), ranks, decoder.shard(), model.config().vocab,
                        decoder.vocabulary_slices());
        Engine engine(model.decoder(), model.cache(), sampler, ranks);
        if (ranks.rank() == 0) {
            lead(model, engine, settings, requests, result);
            engine.stop();
        } else {
            engine.follow();
        }
    });
    return result;
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
        for (const float logprob : answer.logprobs)
            text += fmt::format(" {:08x}", std::bit_cast<std::uint32_t>(logprob));
        text += "\n";
    }
    return text;
}

}  // namespace sluice::test
