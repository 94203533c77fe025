// Whole runs of the engine on a small checkpoint, on ranks that are threads.
#pragma once

#include "engine/generator.hpp"
#include "engine/scorer.hpp"
#include "support/small_model.hpp"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

struct RunSettings {
    std::string checkpoint = "v3";
    int ranks = 1;
    int threads = 1;
    BatchPolicy policy{16, 128, 64, true};
    int pages = 256;
    kernels::Family family = kernels::Family::Cpu;
    LinkDevices links = {};
    Products gemm = Products::Bf16;
    DType kv_dtype = DType::BF16;
    std::vector<Token> end_of_turn = {};
    bool keep_logprobs = true;
    bool streams = false;  // the texts as they appear; equal requests are computed one by one
    int steps = -1;        // the run is stopped after so many; -1: at its end
    std::vector<PartialAnswer> earlier = {};  // of a run that was stopped, by fingerprint
    int quiet = 0;                            // so many looks at the input find nothing
    std::function<bool(std::int64_t ordinal)> has_room = {};
    std::function<void()> on_step = {};                 // when one begins
    std::function<void(const Answer&)> on_answer = {};  // what it throws ends the run
    // What the scheduler is limited to after each step: sequences and rows.
    std::function<std::pair<int, int>(const StepCost&)> limits = {};
};

struct RunResult {
    std::map<std::string, Answer> answers;                   // by id
    std::map<std::string, std::vector<std::string>> pieces;  // of their texts, where they are streamed
    std::map<std::string, Score> scores;                     // by the JSON of the id
    std::vector<PartialAnswer> unfinished;
    Tally tally;
    int most_running = 0;
    int idle_calls = 0;
    int rounds = 0;  // of admitting requests and a step
};

// Runs the requests to their end; every rank is a thread.
RunResult run_requests(const RunSettings& settings, const std::vector<Request>& requests);
// Scores them instead.
RunResult run_scores(const RunSettings& settings, const std::vector<Request>& requests);

// A request of plain text, or of tokens.
Request text_request(const std::string& id, const std::string& prompt, const Sampling& sampling);
Request token_request(const std::string& id, std::vector<Token> tokens, const Sampling& sampling);

// What a file would hold of the answers and scores, sorted by id, with each token's log-probability in
// hexadecimal.
std::string transcript(const RunResult& result);

}  // namespace sluice::test
