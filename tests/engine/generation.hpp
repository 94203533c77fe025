// Whole runs of the engine on a small checkpoint, on ranks that are threads.
#pragma once

#include "engine/generator.hpp"
#include "engine/scorer.hpp"
#include "support/small_model.hpp"

#include <map>
#include <string>
#include <vector>

namespace sluice::test {

struct RunSettings {
    std::string checkpoint = "v3";
    int ranks = 1;
    int threads = 1;
    BatchPolicy policy{16, 128, 64, true};
    int pages = 256;
    kernels::Family family = kernels::Family::Cpu;
    Products gemm = Products::Bf16;
    DType kv_dtype = DType::BF16;
    std::vector<Token> end_of_turn = {};
};

struct RunResult {
    std::map<std::string, Answer> answers;                   // by id
    std::map<std::string, std::vector<std::string>> pieces;  // of their texts, as they appeared
    std::map<std::string, Score> scores;                     // by the JSON of the id
    Tally tally;
    int most_running = 0;
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
